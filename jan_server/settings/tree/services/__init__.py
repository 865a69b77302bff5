"""The settings of the services, one module a service."""

from __future__ import annotations

from jan_server.settings.tree.fields import Section
from jan_server.settings.tree.services.llm_api import LlmApi
from jan_server.settings.tree.services.mcp_tools import McpTools
from jan_server.settings.tree.services.media_api import MediaApi
from jan_server.settings.tree.services.memory_tools import MemoryTools
from jan_server.settings.tree.services.realtime_api import RealtimeApi
from jan_server.settings.tree.services.response_api import ResponseApi
from jan_server.settings.tree.services.template_api import TemplateApi


class Services(Section):
    """The services."""

    llm_api: LlmApi = LlmApi()
    media_api: MediaApi = MediaApi()
    response_api: ResponseApi = ResponseApi()
    mcp_tools: McpTools = McpTools()
    memory_tools: MemoryTools = MemoryTools()
    realtime_api: RealtimeApi = RealtimeApi()
    template_api: TemplateApi = TemplateApi()


__all__ = [
    "LlmApi",
    "McpTools",
    "MediaApi",
    "MemoryTools",
    "RealtimeApi",
    "ResponseApi",
    "Services",
    "TemplateApi",
]
