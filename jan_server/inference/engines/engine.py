"""What an inference engine is to the launcher: a program that speaks OpenAI's protocol on a port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from jan_server.inference.model_store import ModelStore
from jan_server.settings.tree.inference import Inference


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """How to run an engine.

    Attributes:
        model: The id under which it offers its model.
        arguments: The program and its arguments. It ends when its standard input ends: whoever starts
            it holds the other end of that pipe open as long as it should run.
        address: Where it listens.
        health_path: Answers 200 once the model is loaded.
        ready_seconds: How long loading may take.
        environment: Variables besides those of the server; credentials travel here, never in arguments.
    """

    model: str
    arguments: tuple[str, ...]
    address: str
    health_path: str
    ready_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """An engine that can be run on this machine."""

    def process(self, settings: Inference, store: ModelStore) -> EngineProcess:
        """How to run it.

        Raises:
            ModelMissingError: Its model is not on this machine; the text says what to do.
        """
        ...

    def read_line(self, line: str) -> tuple[str, str]:
        """The level (`debug`, `info`, `warning`, `error`) and the message of a line that it wrote."""
        ...
