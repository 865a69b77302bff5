"""What tests of the launcher share: a log sink in a home of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jan_server.telemetry.log_files import Rotation
from jan_server.telemetry.logs import LogSink
from jan_server.telemetry.personal_data import PersonalData


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[LogSink]:
    """Writes log files below the test's folder, without touching the logging of the test process."""
    running = LogSink(tmp_path / "logs", Rotation(), PersonalData())
    running.start()
    yield running
    running.close()
