"""The metrics of the LLM API, for Prometheus (contract/llm-api.md, section 26).

Whoever measures something declares it here, in this service's own registry: in one process
every service answers `/metrics` for itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

PREFIX = "jan_llm_api"

_LONGEST_AGENT = 60
_FAMILIES = {
    "browser": ("mozilla", "opera"),
    "cli": ("curl", "wget", "httpie"),
    "api_client": ("postman", "insomnia"),
    "mobile": ("okhttp", "cfnetwork", "dalvik"),
    "sdk": ("openai", "anthropic", "python-httpx", "python-requests", "aiohttp", "axios", "node-fetch"),
}

REQUESTS = Counter(
    "requests",
    "Requests served.",
    ("method", "endpoint", "status", "model", "stream"),
    namespace=PREFIX,
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "request_duration_seconds",
    "Time from a request's arrival to the last byte of its answer.",
    ("method", "endpoint", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
AUTH_REQUESTS = Counter(
    "auth_requests",
    "Log-ins, refreshes and key checks, and how they ended.",
    ("auth_type", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)

SHARES = Counter(
    "shares",
    "Shares that were asked for, and how that ended.",
    ("scope", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
PUBLIC_SHARE_REQUESTS = Counter(
    "public_share_requests",
    "Reads of public links, and how they ended.",
    ("method", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
CONVERSATIONS_CREATED = Counter(
    "conversations_created", "Conversations that were made.", namespace=PREFIX, registry=REGISTRY
)
USER_AGENTS = Counter(
    "user_agents",
    "Requests by the program that sent them, as far as programs are told apart.",
    ("user_agent",),
    namespace=PREFIX,
    registry=REGISTRY,
)
USER_AGENT_FAMILIES = Counter(
    "user_agent_family",
    "Requests by the kind of program that sent them.",
    ("family",),
    namespace=PREFIX,
    registry=REGISTRY,
)
PROMPT_TOKENS = Counter(
    "tokens_prompt", "Tokens that models read.", ("model", "provider"), namespace=PREFIX, registry=REGISTRY
)
COMPLETION_TOKENS = Counter(
    "tokens_completion",
    "Tokens that models wrote.",
    ("model", "provider"),
    namespace=PREFIX,
    registry=REGISTRY,
)
TOKENS_PER_REQUEST = Histogram(
    "tokens_per_request",
    "Tokens of one call.",
    ("model", "type"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(10, 50, 100, 500, 1000, 5000, 10_000),
)
LLM_SECONDS = Histogram(
    "llm_duration_seconds",
    "Time that models took for whole answers.",
    ("model", "provider", "stream"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120),
)
FIRST_TOKEN_SECONDS = Histogram(
    "first_token_seconds",
    "Time until the first bytes of streams.",
    ("model", "provider"),
    namespace=PREFIX,
    registry=REGISTRY,
    buckets=(0.1, 0.25, 0.5, 1, 2, 5),
)
ACTIVE_STREAMS = Gauge(
    "active_streams", "Streams under way.", ("model",), namespace=PREFIX, registry=REGISTRY
)
PROVIDER_HEALTH = Gauge(
    "provider_health",
    "1 for a provider that has an endpoint which answers, else 0.",
    ("provider",),
    namespace=PREFIX,
    registry=REGISTRY,
)
PROVIDER_ERRORS = Counter(
    "provider_errors",
    "Calls that providers failed.",
    ("provider", "error_type"),
    namespace=PREFIX,
    registry=REGISTRY,
)
JOB_RUNS = Counter(
    "job_runs",
    "Runs of housekeeping, and how they ended.",
    ("job", "status"),
    namespace=PREFIX,
    registry=REGISTRY,
)
JOB_REMOVED = Counter(
    "job_removed", "What housekeeping removed.", ("job",), namespace=PREFIX, registry=REGISTRY
)
PROVIDER_ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    502: "bad_answer",
    503: "unavailable",
    504: "timeout",
}
"""How calls that came to a status are named among the providers' errors."""


class CallMetrics(NamedTuple):
    """What is measured of the calls of one model."""

    prompt: Counter
    completion: Counter
    prompt_size: Histogram
    completion_size: Histogram
    seconds: Histogram
    first_token: Histogram

    def count_tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens of one call."""
        self.prompt.inc(prompt)
        self.completion.inc(completion)
        self.prompt_size.observe(prompt)
        self.completion_size.observe(completion)


@lru_cache(maxsize=2048)
def call_metrics(model: str, provider: str, stream: str) -> CallMetrics:
    """What is measured of the calls of a model; `stream` is `true` or `false`."""
    return CallMetrics(
        PROMPT_TOKENS.labels(model, provider),
        COMPLETION_TOKENS.labels(model, provider),
        TOKENS_PER_REQUEST.labels(model, "prompt"),
        TOKENS_PER_REQUEST.labels(model, "completion"),
        LLM_SECONDS.labels(model, provider, stream),
        FIRST_TOKEN_SECONDS.labels(model, provider),
    )


class RequestMetrics:
    """Counts requests by route; a chat route names its model in the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            route = scope.get("route")
            # Only routes that exist become labels: anybody can invent paths.
            endpoint = str(getattr(route, "path", "unknown"))
            state = scope.get("state", {})
            requests, seconds = _children(
                scope["method"],
                endpoint,
                str(status),
                str(state.get("model", "")),
                str(state.get("stream", "")).lower(),
            )
            requests.inc()
            for agent in _agents(user_agent(scope["headers"])):
                agent.inc()
            seconds.observe(time.perf_counter() - started)


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The name of the program that sent a request: the first word of what it says, without a version."""
    for name, value in headers:
        if name == b"user-agent":
            return value[:_LONGEST_AGENT].lower().partition(b" ")[0].partition(b"/")[0]
    return b""


@lru_cache(maxsize=1024)
def _agents(name: bytes) -> tuple[Counter, Counter]:
    text = name.decode("latin-1")
    # Only programs that are known become labels: anybody can invent some.
    family, known = next(
        ((family, word) for family, words in _FAMILIES.items() for word in words if word in text),
        ("unknown", "other"),
    )
    return USER_AGENTS.labels(known), USER_AGENT_FAMILIES.labels(family)


@lru_cache(maxsize=2048)
def _children(method: str, endpoint: str, status: str, model: str, stream: str) -> tuple[Counter, Histogram]:
    # Finding a child by its labels costs more than counting with it.
    return (
        REQUESTS.labels(method, endpoint, status, model, stream),
        REQUEST_SECONDS.labels(method, endpoint, status),
    )
