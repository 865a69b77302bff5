"""Logging: JSON lines in the file of their service, without credentials."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from jan_server.telemetry.log_files import Rotation, services_with_logs, tail
from jan_server.telemetry.logs import LogSink, start_logs, without_secrets
from jan_server.telemetry.personal_data import PersonalData
from tests.waiting import wait_until


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogSink]:
    """Logging as the server sets it up, and as it was afterwards."""
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile", "raiseExceptions"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    root, jan = logging.getLogger(), logging.getLogger("jan")
    handlers, level, jan_level = root.handlers[:], root.level, jan.level
    running = start_logs(tmp_path, level="info", levels={"gateway": "debug"})
    yield running
    running.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    jan.setLevel(jan_level)
    logging.getLogger("jan.gateway").setLevel(logging.NOTSET)
    logging.captureWarnings(False)


def test_personal_data_is_named_by_hashes(sink: LogSink, tmp_path: Path) -> None:
    for user in ("ada@example.org", "ada@example.org", "bob@example.org"):
        logging.getLogger("jan.llm-api.x").info("asked by %s", user, extra={"path": f"/users/{user}"})
    sink.close()
    first, second, third = (entry.fields for entry in tail(tmp_path, "llm-api", 9))
    assert first["message"].startswith("asked by EMAIL_") and first["path"].startswith("/users/EMAIL_")
    assert first["message"] == second["message"] != third["message"]


def test_a_record_goes_to_the_file_of_its_service(sink: LogSink, tmp_path: Path) -> None:
    logging.getLogger("jan.llm-api.access").info("%s %d", "GET /", 200, extra={"request_id": "r1"})
    logging.getLogger("jan.llm_api.sync").info("same service, other spelling")
    logging.getLogger("some.library").warning("odd")
    sink.close()
    first, second = tail(tmp_path, "llm-api", 9)
    assert first.fields["message"] == "GET / 200"
    assert first.fields["request_id"] == "r1"
    assert first.fields["logger"] == "access"
    assert first.fields["service"] == "llm-api"
    assert first.time.endswith("Z")
    assert second.fields["logger"] == "sync"
    [other] = tail(tmp_path, "server", 9)
    assert (other.fields["logger"], other.level) == ("some.library", "warning")


def test_levels_hold_for_each_service(sink: LogSink, tmp_path: Path) -> None:
    logging.getLogger("jan.gateway.router").debug("seen")
    logging.getLogger("jan.llm-api.router").debug("not seen")
    logging.getLogger("some.library").info("not seen")
    sink.close()
    assert services_with_logs(tmp_path) == ["gateway"]


def test_an_exception_is_logged_with_its_traceback(sink: LogSink, tmp_path: Path) -> None:
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError:
        logging.getLogger("jan.identity.token").exception("failed")
    sink.close()
    [entry] = tail(tmp_path, "identity", 9)
    assert "Traceback" in entry.fields["error"]
    assert "hunter2" not in entry.fields["error"]


def test_a_value_that_json_does_not_know_becomes_text(sink: LogSink, tmp_path: Path) -> None:
    logging.getLogger("jan.identity.x").info("here", extra={"place": Path("/x")})
    sink.close()
    assert tail(tmp_path, "identity", 1)[0].fields["place"] == "/x"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def.ghi",
        "authorization: basic dXNlcjpwYXNz",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl refused",
        "key sk_live_abcdefghijklmnop",
        "key sk-proj-abcdefghijklmnop",
        "postgresql://jan:s3cretword@db/jan",
        "/callback?access_token=abcdefgh&state=1",
        "{'client_secret': 'abcdefgh'}",
        "password = correcthorse",
    ],
)
def test_credentials_are_blanked_out(text: str) -> None:
    cleaned = without_secrets(text)
    assert "********" in cleaned
    for secret in ("abc.def", "dXNlcjp", "eyJ", "abcdefgh", "s3cretword", "correcthorse"):
        assert secret not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "POST /v1/chat/completions 200",
        "max_tokens=4096 first_token=0.2",
        "postgresql://db:5432/jan",
        "database system is ready to accept connections",
    ],
)
def test_ordinary_words_are_kept(text: str) -> None:
    assert without_secrets(text) == text


def test_a_full_disk_does_not_end_logging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LogSink(tmp_path, Rotation(), PersonalData())
    sink.start()
    failures = [OSError("No space left on device")]
    written: list[bytes] = []

    def append(self: object, lines: bytes) -> None:
        if failures:
            raise failures.pop()
        written.append(lines)

    monkeypatch.setattr("jan_server.telemetry.log_files.LogFile.append", append)
    sink.put_line("x", "lost")
    wait_until(lambda: not failures)
    sink.put_line("x", "kept")
    sink.close()
    assert [b"kept" in lines for lines in written] == [True]
