"""The settings of response-api."""

from __future__ import annotations

from datetime import timedelta

from jan_server.settings.tree.fields import Duration, HttpUrl, LogLevel, Port, Section, TextList, setting


class Background(Section):
    """Responses that are made in the background."""

    worker_count: int = setting(
        4, "Responses that are made at the same time.", "BACKGROUND_WORKER_COUNT", ge=1
    )
    poll_interval: Duration = setting(
        timedelta(seconds=2), "Time between two looks for work.", "BACKGROUND_POLL_INTERVAL"
    )
    task_timeout: Duration = setting(
        timedelta(seconds=600), "Longest making of one response.", "BACKGROUND_TASK_TIMEOUT"
    )


class Webhook(Section):
    """Calls that tell a client about its response."""

    max_retries: int = setting(3, "Further tries after a failed call.", "WEBHOOK_MAX_RETRIES", ge=0)
    retry_delay: Duration = setting(timedelta(seconds=2), "Wait before the next try.", "WEBHOOK_RETRY_DELAY")
    timeout: Duration = setting(timedelta(seconds=10), "Longest call.", "WEBHOOK_TIMEOUT")


class ResponseApi(Section):
    """response-api: answers that take several steps and tools."""

    http_port: Port = setting(8082, "Port of response-api.", "RESPONSE_API_PORT")
    log_level: LogLevel = setting("info", "How much response-api logs.", "RESPONSE_LOG_LEVEL", "LOG_LEVEL")
    auth_enabled: bool = setting(
        True, "Whether response-api asks for a token.", "RESPONSE_AUTH_ENABLED", "AUTH_ENABLED"
    )
    llm_api_url: HttpUrl = setting(
        "http://127.0.0.1:8080",
        "Address of llm-api.",
        "RESPONSE_LLM_API_URL",
        "LLM_API_URL",
        follows="http://{local_host}:{services.llm_api.http_port}",
    )
    mcp_tools_url: HttpUrl = setting(
        "http://127.0.0.1:8091",
        "Address of mcp-tools.",
        "RESPONSE_MCP_TOOLS_URL",
        "MCP_TOOLS_URL",
        follows="http://{local_host}:{services.mcp_tools.http_port}",
    )
    max_tool_depth: int = setting(
        8,
        "Rounds of tool calls in one response.",
        "RESPONSE_MAX_TOOL_DEPTH",
        "MAX_TOOL_EXECUTION_DEPTH",
        ge=1,
        le=20,
    )
    tool_timeout: Duration = setting(
        timedelta(seconds=45), "Longest call of a tool.", "TOOL_EXECUTION_TIMEOUT", "RESPONSE_TOOL_TIMEOUT"
    )
    parallel_tool_calls: int = setting(
        8, "Calls of tools at the same time in one response.", "RESPONSE_PARALLEL_TOOL_CALLS", ge=1, le=64
    )
    max_duration: Duration = setting(
        timedelta(seconds=900), "Longest making of one response in the foreground.", "RESPONSE_MAX_DURATION"
    )
    max_total_tokens: int = setting(
        0, "Tokens of all steps of one response; 0 for no limit.", "RESPONSE_MAX_TOTAL_TOKENS", ge=0
    )
    discover_tools: bool = setting(
        True,
        "Whether a request that names no tools is offered those of mcp-tools.",
        "RESPONSE_DISCOVER_TOOLS",
    )
    allowed_networks: TextList = setting(
        (),
        "Private networks in which MCP servers and webhooks may be, `10.1.0.0/16` for example.",
        "RESPONSE_ALLOWED_NETWORKS",
    )
    background: Background = Background()
    webhook: Webhook = Webhook()
