"""Where the launcher's processes log to, and at which level, as the settings say."""

from __future__ import annotations

from pathlib import Path

from jan_server.settings.home import JanHome
from jan_server.settings.loading import value_of
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import PARTS
from jan_server.stack.service import Service
from jan_server.telemetry.log_files import Rotation
from jan_server.telemetry.logs import LogSink, start_logs
from jan_server.telemetry.personal_data import PersonalData


def open_logs(settings: Settings, home: Path) -> LogSink:
    """Send this process's logging to the log files; close what is returned last."""
    logs = settings.server.logs
    return start_logs(
        JanHome(home).logs,
        level=logs.level,
        levels={
            part.name: value_of(settings, part.log_setting)
            for part in PARTS
            if isinstance(part, Service) and part.log_setting
        },
        rotation=Rotation(max_bytes=logs.file_size_mb * 1024 * 1024, keep=logs.files_kept),
        personal=PersonalData(
            settings.monitoring.otel.pii_level, settings.identity.header_secret.get_secret_value()
        ),
    )
