"""The rate limit of every route that ships (contract gateway.md, sections 2 and 4.3)."""

from __future__ import annotations

from typing import Any

from jan_server.settings.tree.fields import Section, setting


def _a_minute(default: int) -> Any:
    return setting(default, "Requests a minute; 0 means no limit.", ge=0)


def _an_hour(default: int) -> Any:
    return setting(default, "Requests an hour; 0 means no limit.", ge=0)


class RateLimit(Section):
    """How many requests one caller may send."""

    minute: int = _a_minute(0)
    hour: int = _an_hour(0)


class DefaultLimit(RateLimit):
    """Routes without a limit of their own: health, log-in, API documents."""

    minute: int = _a_minute(600)
    hour: int = _an_hour(10_000)


class LlmApiProxyLimit(RateLimit):
    """The route /llm."""

    minute: int = _a_minute(120)


class LlmApiV1Limit(RateLimit):
    """The route /v1."""

    minute: int = _a_minute(120)


class PublicSharesLimit(RateLimit):
    """The route /v1/public/shares."""

    minute: int = _a_minute(100)
    hour: int = _an_hour(1000)


class MediaPublicLimit(RateLimit):
    """The route /api/media."""

    minute: int = _a_minute(300)


class MediaProxyLimit(RateLimit):
    """The route /media."""

    minute: int = _a_minute(60)


class RealtimeLimit(RateLimit):
    """The route /v1/realtime."""

    minute: int = _a_minute(120)


class ResponsesLimit(RateLimit):
    """The route /responses."""

    minute: int = _a_minute(100)


class McpLimit(RateLimit):
    """The route /mcp."""

    minute: int = _a_minute(200)


class RateLimits(Section):
    """The limit of every route that ships, by the route's name in the gateway file."""

    default: DefaultLimit = DefaultLimit()
    llm_api_proxy: LlmApiProxyLimit = LlmApiProxyLimit()
    llm_api_v1: LlmApiV1Limit = LlmApiV1Limit()
    llm_api_public_shares: PublicSharesLimit = PublicSharesLimit()
    media_api_public: MediaPublicLimit = MediaPublicLimit()
    media_api_proxy: MediaProxyLimit = MediaProxyLimit()
    realtime_api_proxy: RealtimeLimit = RealtimeLimit()
    response_api_proxy: ResponsesLimit = ResponsesLimit()
    mcp_tools_rpc: McpLimit = McpLimit()
