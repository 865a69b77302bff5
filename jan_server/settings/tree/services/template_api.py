"""The settings of template-api, the service that new ones are copied from."""

from __future__ import annotations

from jan_server.settings.tree.fields import LogLevel, Port, Section, setting


class TemplateApi(Section):
    """template-api: the smallest whole service."""

    enabled: bool = setting(False, "Whether template-api runs.", "TEMPLATE_API_ENABLED")
    http_port: Port = setting(8185, "Port of template-api.", "TEMPLATE_API_PORT")
    log_level: LogLevel = setting("info", "How much template-api logs.", "TEMPLATE_LOG_LEVEL", "LOG_LEVEL")
    auth_enabled: bool = setting(
        True, "Whether template-api asks for a token.", "TEMPLATE_AUTH_ENABLED", "AUTH_ENABLED"
    )
