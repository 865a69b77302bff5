"""The settings of mcp-tools."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import (
    Duration,
    HttpUrl,
    LogFormat,
    LogLevel,
    Port,
    Section,
    TextList,
    setting,
)


class Serper(Section):
    """How the Serper search engine and its scraper are called."""

    domain_filter: TextList = setting((), "Domains that results are limited to.", "SERPER_DOMAIN_FILTER")
    location_hint: str = setting("", "Place that results are meant for.", "SERPER_LOCATION_HINT")
    offline_mode: bool = setting(False, "Whether the network is left alone.", "SERPER_OFFLINE_MODE")
    http_timeout: float = setting(15, "Longest search, in seconds.", "SERPER_HTTP_TIMEOUT", gt=0)
    scrape_timeout: float = setting(30, "Longest scrape, in seconds.", "SERPER_SCRAPE_TIMEOUT", gt=0)
    max_conns_per_host: int = setting(50, "Connections to one host.", "SERPER_MAX_CONNS_PER_HOST", ge=1)
    max_idle_conns: int = setting(100, "Idle connections that are kept.", "SERPER_MAX_IDLE_CONNS", ge=0)
    idle_conn_timeout: float = setting(
        90, "Life of an idle connection, in seconds.", "SERPER_IDLE_CONN_TIMEOUT", gt=0
    )


class SearchRetry(Section):
    """How a failed search is tried again."""

    max_attempts: int = setting(5, "Tries, the first one included.", "SERPER_RETRY_MAX_ATTEMPTS", ge=1)
    initial_delay: int = setting(
        250, "Wait before the second try, in milliseconds.", "SERPER_RETRY_INITIAL_DELAY", ge=0
    )
    max_delay: int = setting(5000, "Longest wait, in milliseconds.", "SERPER_RETRY_MAX_DELAY", ge=0)
    backoff_factor: float = setting(
        1.5, "What each wait is multiplied with.", "SERPER_RETRY_BACKOFF_FACTOR", ge=1
    )


class SearchCircuitBreaker(Section):
    """When a failing search engine is left alone for a while."""

    enabled: bool = setting(False, "Whether it is left alone at all.", "MCP_SEARCH_CB_ENABLED")
    failure_threshold: int = setting(15, "Failures that open it.", "SERPER_CB_FAILURE_THRESHOLD", ge=1)
    success_threshold: int = setting(5, "Successes that close it.", "SERPER_CB_SUCCESS_THRESHOLD", ge=1)
    timeout: float = setting(45, "Seconds before it is tried again.", "SERPER_CB_TIMEOUT", gt=0)
    max_half_open: int = setting(10, "Calls while it is tried again.", "SERPER_CB_MAX_HALF_OPEN", ge=1)


class McpTools(Section):
    """mcp-tools: search, scrape, code, files and other tools."""

    http_port: Port = setting(8091, "Port of mcp-tools.", "MCP_TOOLS_HTTP_PORT")
    log_level: LogLevel = setting("info", "How much mcp-tools logs.", "MCP_TOOLS_LOG_LEVEL", "LOG_LEVEL")
    log_format: LogFormat = setting("json", "How mcp-tools logs.", "MCP_TOOLS_LOG_FORMAT", "LOG_FORMAT")
    auth_enabled: bool = setting(
        True, "Whether mcp-tools asks for a token.", "MCP_TOOLS_AUTH_ENABLED", "AUTH_ENABLED"
    )
    search_engine: Literal["none", "serper", "exa", "tavily", "searxng"] = setting(
        "none", "The search engine that is asked first.", "MCP_SEARCH_ENGINE", "SEARCH_ENGINE"
    )
    serper_enabled: bool = setting(False, "Whether Serper is used.", "SERPER_ENABLED")
    serper_api_key: SecretStr = setting(SecretStr(""), "Key of Serper.", "SERPER_API_KEY")
    exa_enabled: bool = setting(False, "Whether Exa is used.", "EXA_ENABLED")
    exa_api_key: SecretStr = setting(SecretStr(""), "Key of Exa.", "EXA_API_KEY")
    exa_search_endpoint: HttpUrl = setting(
        "https://api.exa.ai/search", "Address of Exa.", "EXA_SEARCH_ENDPOINT"
    )
    exa_timeout: Duration = setting(timedelta(seconds=15), "Longest search of Exa.", "EXA_TIMEOUT")
    tavily_enabled: bool = setting(False, "Whether Tavily is used.", "TAVILY_ENABLED")
    tavily_api_key: SecretStr = setting(SecretStr(""), "Key of Tavily.", "TAVILY_API_KEY")
    tavily_search_endpoint: HttpUrl = setting(
        "https://api.tavily.com/search", "Address of Tavily.", "TAVILY_SEARCH_ENDPOINT"
    )
    tavily_timeout: Duration = setting(timedelta(seconds=15), "Longest search of Tavily.", "TAVILY_TIMEOUT")
    searxng_enabled: bool = setting(False, "Whether SearXNG is used.", "SEARXNG_ENABLED")
    searxng_url: HttpUrl = setting("http://127.0.0.1:8086", "Address of SearXNG.", "SEARXNG_URL")
    serper: Serper = Serper()
    retry: SearchRetry = SearchRetry()
    circuit_breaker: SearchCircuitBreaker = SearchCircuitBreaker()
    vector_store_url: HttpUrl = setting(
        "http://127.0.0.1:3015", "Address of the vector store.", "VECTOR_STORE_URL"
    )
    sandbox_fusion_url: HttpUrl = setting(
        "http://127.0.0.1:3010", "Address of SandboxFusion.", "SANDBOXFUSION_URL", "SANDBOX_FUSION_URL"
    )
    sandbox_require_approval: bool = setting(
        True,
        "Whether code runs only when the call says that it was approved.",
        "MCP_SANDBOX_REQUIRE_APPROVAL",
        "SANDBOX_FUSION_REQUIRE_APPROVAL",
    )
    mcp_config_file: str = setting(
        "", "A YAML file of MCP providers; a path. Empty means none.", "MCP_CONFIG_FILE"
    )
    provider_debug: bool = setting(False, "Whether calls of MCP providers are logged.", "MCP_PROVIDER_DEBUG")
    enable_python_exec: bool = setting(True, "Whether code can be run.", "MCP_ENABLE_PYTHON_EXEC")
    enable_file_search: bool = setting(False, "Whether files can be searched.", "MCP_ENABLE_FILE_SEARCH")
    enable_memory_retrieve: bool = setting(
        False,
        "Whether memories can be looked up.",
        "MCP_ENABLE_MEMORY_RETRIEVE",
        follows="{services.memory_tools.enabled}",
    )
    enable_image_generate: bool = setting(True, "Whether images can be made.", "MCP_ENABLE_IMAGE_GENERATE")
    enable_image_edit: bool = setting(True, "Whether images can be edited.", "MCP_ENABLE_IMAGE_EDIT")
    max_snippet_chars: int = setting(5000, "Longest snippet of a result.", "MCP_MAX_SNIPPET_CHARS", ge=1)
    max_scrape_preview_chars: int = setting(
        5000, "Longest preview of a page.", "MCP_MAX_SCRAPE_PREVIEW_CHARS", ge=1
    )
    max_scrape_text_chars: int = setting(50_000, "Longest text of a page.", "MCP_MAX_SCRAPE_TEXT_CHARS", ge=1)
    memory_tools_url: HttpUrl = setting(
        "http://127.0.0.1:8090",
        "Address of memory-tools.",
        "MEMORY_TOOLS_URL",
        follows="http://{local_host}:{services.memory_tools.http_port}",
    )
    llm_api_base_url: HttpUrl = setting(
        "http://127.0.0.1:8080",
        "Address of llm-api.",
        "LLM_API_BASE_URL",
        follows="http://{local_host}:{services.llm_api.http_port}",
    )
    tracking_enabled: bool = setting(
        True, "Whether tool calls are written into their conversation.", "MCP_TRACKING_ENABLED"
    )
