"""The settings of realtime-api."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from jan_server.settings.tree.fields import Duration, LogLevel, Port, Section, WebSocketUrl, setting


class LiveKit(Section):
    """The LiveKit server."""

    ws_url: WebSocketUrl = setting("ws://localhost:7880", "Address of LiveKit.", "LIVEKIT_WS_URL")
    api_key: SecretStr = setting(SecretStr(""), "Name of the LiveKit key.", "LIVEKIT_API_KEY")
    api_secret: SecretStr = setting(SecretStr(""), "Secret of the LiveKit key.", "LIVEKIT_API_SECRET")
    token_ttl: Duration = setting(timedelta(hours=24), "Life of a LiveKit token.", "LIVEKIT_TOKEN_TTL")


class RealtimeApi(Section):
    """realtime-api: voice sessions."""

    enabled: bool = setting(False, "Whether realtime-api runs.", "REALTIME_API_ENABLED")
    http_port: Port = setting(8186, "Port of realtime-api.", "REALTIME_API_PORT")
    log_level: LogLevel = setting("info", "How much realtime-api logs.", "REALTIME_LOG_LEVEL", "LOG_LEVEL")
    auth_enabled: bool = setting(
        True, "Whether realtime-api asks for a token.", "REALTIME_AUTH_ENABLED", "AUTH_ENABLED"
    )
    livekit: LiveKit = LiveKit()
    session_cleanup_interval: Duration = setting(
        timedelta(seconds=15), "Time between two rounds of cleaning.", "SESSION_CLEANUP_INTERVAL"
    )
    session_stale_ttl: Duration = setting(
        timedelta(minutes=10), "Age at which an unused session is removed.", "SESSION_STALE_TTL"
    )
