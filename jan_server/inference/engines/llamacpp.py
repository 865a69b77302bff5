"""llama.cpp as an engine: its own HTTP server in a child process of this Python."""

from __future__ import annotations

import re
import sys

from jan_server.inference.engines.engine import EngineProcess
from jan_server.inference.model_sources import find_model
from jan_server.inference.model_store import ModelStore
from jan_server.settings.tree.inference import Inference

HOST = "127.0.0.1"
HEALTH_PATH = "/health"
KEY_VARIABLE = "JAN_ENGINE_API_KEY"
READY_SECONDS = 300.0
"""Large models are read from slow disks; what fails, fails long before."""

_MODULE = "jan_server.inference.engines.llamacpp_server"
# "0.01.946.171 W srv          stop: cancel task, id_task = 0"
_LINE = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} ([DIWE]) +(.*)$")
_LEVELS = {"D": "debug", "I": "info", "W": "warning", "E": "error"}


class LlamaCpp:
    """The built-in engine."""

    def process(self, settings: Inference, store: ModelStore) -> EngineProcess:
        """How to run it.

        Raises:
            ModelMissingError: Its model is not on this machine; the text says what to do.
        """
        own = settings.llamacpp
        name, path = find_model(own.model, store)
        key = own.api_key.get_secret_value()
        return EngineProcess(
            model=name,
            arguments=(
                *(sys.executable, "-m", _MODULE),
                *("--model", str(path), "--alias", name),
                *("--host", HOST, "--port", str(own.port)),
                *("--context-size", str(own.context_size), "--slots", str(own.slots)),
                *("--threads", str(own.threads)),
                "--tied",
            ),
            address=f"http://{HOST}:{own.port}",
            health_path=HEALTH_PATH,
            ready_seconds=READY_SECONDS,
            environment={KEY_VARIABLE: key} if key else {},
        )

    def read_line(self, line: str) -> tuple[str, str]:
        """The level and the message of a line in llama.cpp's own form; other lines are `info`."""
        if line.startswith("error: "):
            return "error", line.removeprefix("error: ")
        match = _LINE.match(line)
        return (_LEVELS[match[1]], " ".join(match[2].split())) if match else ("info", line)
