"""The inference engine as a supervised child: the program that runs it."""

from __future__ import annotations

from pathlib import Path

from jan_server.inference.engines.llamacpp import LlamaCpp
from jan_server.inference.model_store import ModelStore
from jan_server.launch.children import Program
from jan_server.launch.health import probe
from jan_server.settings.home import JanHome
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import INFERENCE


def engine_program(settings: Settings, home: Path) -> Program:
    """How to run the engine that the settings choose.

    Raises:
        ModelMissingError: Its model is not on this machine; the text says what to do.
    """
    engine = LlamaCpp()
    process = engine.process(settings.inference, ModelStore(JanHome(home).models))
    return Program(
        name=INFERENCE.name,
        arguments=process.arguments,
        ready=lambda: probe(process.address, process.health_path),
        ready_seconds=process.ready_seconds,
        environment=process.environment,
        read_line=engine.read_line,
    )
