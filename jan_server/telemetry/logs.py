"""Logging: what a service says becomes one JSON line in its own file, off the hot path.

A logger is named `jan.<service>.<concept>`; its records go to `$JAN_HOME/logs/<service>.log`,
everything else to `server.log`. A log call only puts the record on a queue. One thread takes them
off in batches, blanks out what looks like a credential or a person's data, and writes.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import traceback
from pathlib import Path
from typing import Any

import orjson

from jan_server.telemetry.log_files import SERVER, LogFile, Rotation, log_path, utc_now
from jan_server.telemetry.personal_data import PersonalData

_BATCH_SECONDS = 0.05
"""How long the writer collects before it writes: many lines cost one system call and one wake-up."""

_PLAIN_ATTRIBUTES = frozenset(
    logging.LogRecord("", 0, "", 0, "", None, None).__dict__.keys() | {"message", "asctime", "taskName"}
)

_OWN_FIELDS = frozenset({"time", "level", "service", "logger", "request_id"})
"""Fields that this program fills itself, so they need no search for credentials."""

_SECRETS = re.compile(
    r"""(?P<keep>
          \b(?:bearer|basic)\s+
        | \b(?:password|passwd|secret|api[_-]?key|access_token|refresh_token|id_token|client_secret|token)
          ["']?\s*[=:]\s*["']?
      )(?P<value>[^\s"'&,;@]{4,})
      | (?P<user>://[^\s:/@]+:)[^\s@/]+(?=@)
      | (?P<jwt>\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*)
      | (?P<key>\b(?:sk|hf)[_-](?:live_|test_|proj-)?[A-Za-z0-9_-]{12,})
    """,
    re.IGNORECASE | re.VERBOSE,
)

MASK = "********"


def without_secrets(text: str) -> str:
    """`text` with bearer tokens, JWTs, API keys and passwords blanked out."""
    return _SECRETS.sub(lambda match: (match["keep"] or match["user"] or "") + MASK, text)


class LogSink(threading.Thread):
    """The thread that writes every log file of the process.

    Args:
        folder: Where the files are; made when it is missing.
        rotation: When a file is put aside.
        personal: What becomes of personal data.
    """

    def __init__(self, folder: Path, rotation: Rotation, personal: PersonalData) -> None:
        super().__init__(name="logs", daemon=True)
        self._personal = personal
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rotation = rotation
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]] | logging.LogRecord | None] = (
            queue.SimpleQueue()
        )
        self._closing = threading.Event()
        self._files: dict[str, LogFile] = {}

    def put_record(self, record: logging.LogRecord) -> None:
        """Queue a record of the logging module; its message is already complete."""
        self._queue.put(record)

    def put_line(self, service: str, message: str, *, level: str = "info", **fields: Any) -> None:
        """Queue one line that did not come through the logging module, a child's output for example."""
        entry = {"time": utc_now(), "level": level, "service": service, "message": message, **fields}
        self._queue.put((service, entry))

    def close(self) -> None:
        """Write what is queued and end the thread."""
        self._closing.set()
        self._queue.put(None)
        if self.is_alive():
            self.join()
        for file in self._files.values():
            file.close()
        self._files.clear()

    def run(self) -> None:
        """Write batches until the sink is closed."""
        while True:
            first = self._queue.get()
            self._closing.wait(_BATCH_SECONDS)
            batch = [first]
            while not self._queue.empty():
                batch.append(self._queue.get())
            self._write(batch)
            if None in batch and self._queue.empty():
                return

    def _write(self, batch: list[tuple[str, dict[str, Any]] | logging.LogRecord | None]) -> None:
        lines: dict[str, list[bytes]] = {}
        for item in batch:
            if item is None:
                continue
            service, entry = _entry(item) if isinstance(item, logging.LogRecord) else item
            lines.setdefault(service, []).append(_encode(entry, self._personal))
        for service, encoded in lines.items():
            file = self._files.get(service)
            if file is None:
                file = self._files[service] = LogFile(log_path(self.folder, service), self.rotation)
            try:
                file.append(b"".join(encoded))
            except OSError:
                # A full disk must not end the thread: later lines get their chance.
                continue


class SinkHandler(logging.Handler):
    """Hands records to a `LogSink`; the caller pays for completing the message, nothing else."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self.sink = sink

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue the record; no lock is needed, the queue has its own."""
        record.msg = record.message = record.getMessage()
        record.args = None
        self.sink.put_record(record)
        return True


def start_logs(
    folder: Path,
    *,
    level: str = "info",
    levels: dict[str, str] | None = None,
    rotation: Rotation | None = None,
    personal: PersonalData | None = None,
) -> LogSink:
    """Send all logging of this process to the log files.

    Args:
        folder: Where the files are.
        level: The level of `jan.*` loggers; libraries log warnings and worse.
        levels: Levels of single services, by their name.
        rotation: When a file is put aside.
        personal: What becomes of personal data; by default it is named by hashes.

    Returns:
        The running sink; close it last.
    """
    sink = LogSink(folder, rotation or Rotation(), personal or PersonalData())
    sink.start()
    # What the logging module would look up for each record and no line shows.
    for lookup in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile"):
        setattr(logging, lookup, None)
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [SinkHandler(sink)]
    root.setLevel(logging.WARNING)
    logging.getLogger("jan").setLevel(_number(level))
    for service, own in (levels or {}).items():
        logging.getLogger(f"jan.{service}").setLevel(_number(own))
    logging.captureWarnings(True)
    return sink


def _number(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)


def _entry(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    first, _, rest = record.name.partition(".")
    service, _, concept = rest.partition(".")
    service = service.replace("_", "-")
    if first != "jan" or not service:
        service, concept = SERVER, record.name
    entry: dict[str, Any] = {
        "time": utc_now(record.created),
        "level": record.levelname.lower(),
        "service": service,
        "logger": concept,
        "message": record.message,
    }
    entry |= {name: value for name, value in record.__dict__.items() if name not in _PLAIN_ATTRIBUTES}
    if record.exc_info and record.exc_info[0] is not None:
        entry["error"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return service, entry


def _encode(entry: dict[str, Any], personal: PersonalData) -> bytes:
    for name, value in entry.items():
        if isinstance(value, str) and name not in _OWN_FIELDS:
            entry[name] = personal.masked(without_secrets(value))
    return orjson.dumps(entry, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
