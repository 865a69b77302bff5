"""What a caller is told when a provider fails: OpenAI's error body, with the provider's own words.

| the provider | our answer |
|---|---|
| 400, 404, 409, 413, 415, 422 | the same status, message, code and param: the request is at fault |
| 500, because its model takes no images, audio or video | 400 `unsupported_content` |
| 401, 403 | 502 `upstream_unauthorized`: our key is at fault, the caller's is fine |
| 429 | 429 with its `Retry-After` |
| 503, or no connection to the engine that this installation runs | 503 with `Retry-After` |
| other statuses, no connection, a broken answer | 502 |
| no answer in time | 504 |
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import aiohttp
import orjson

from jan_server.http.errors import ApiError
from jan_server.inference.provider import Endpoint, Provider

LONGEST_MESSAGE = 2000

_PASSED_ON = frozenset({400, 404, 409, 413, 415, 422})
# Statuses of a front in front of the model: the model has not seen the request.
_NOT_THERE = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 529})
_LOADING = re.compile(r"\bloading\b", re.IGNORECASE)
# llama.cpp answers 500 to what its model cannot take in; the request is at fault all the same.
_CANNOT_TAKE = re.compile(r"(?:image|audio|video) input is not supported", re.IGNORECASE)
CONTEXT_OVERFLOW = "context_length_exceeded"
"""OpenAI's code for messages that are too long for the model."""

PROVIDER_BUSY = "provider_busy"
"""The code of a request that found no place among those of its provider."""

# Codes of engines whose own names differ from OpenAI's.
_CODES = {"exceed_context_size_error": CONTEXT_OVERFLOW}
# vLLM, Mistral and others say it in words alone.
_TOO_LONG = re.compile(
    r"maximum context length|context (?:length|window|size) (?:is )?exceeded"
    r"|exceeds? the (?:available |model's )?(?:maximum )?context|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_TOO_LATE = frozenset({408, 504, 524})

FailureKind = Literal["error", "timeout", "rate_limit", "context_overflow"]
"""Why a provider gave no answer, as far as another model may give one."""


class Retry(Enum):
    """Whether another try may help, as long as the caller has not received a byte."""

    NO = "no"
    ELSEWHERE = "elsewhere"
    """Only on another endpoint."""
    ANYWHERE = "anywhere"
    """On the same endpoint too, when there is no other."""


class UpstreamError(ApiError):
    """A provider did not give an answer; it is an `ApiError`, ready for the caller.

    Attributes:
        upstream_status: The provider's status, or None when there was none.
        retry: Whether another try may help.
        blames_endpoint: Whether the endpoint should rest.
        noted: Whether the endpoint's condition and the log have it already.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        type: str | None = None,  # noqa: A002 - OpenAI's own word
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        upstream_status: int | None = None,
        retry: Retry = Retry.NO,
        blames_endpoint: bool = False,
    ) -> None:
        super().__init__(status, message, type=type, code=code, param=param, headers=headers)
        self.upstream_status = upstream_status
        self.retry = retry
        self.blames_endpoint = blames_endpoint
        self.noted = False

    @property
    def kind(self) -> FailureKind | None:
        """Why there is no answer; None when the request itself is at fault, for every model."""
        if self.code == CONTEXT_OVERFLOW:
            return "context_overflow"
        if self.status == 429:
            return "rate_limit"
        if self.status < 500:
            return None
        late = self.status == 504 or self.upstream_status in _TOO_LATE
        return "timeout" if late else "error"


def from_answer(
    provider: Provider, endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes
) -> UpstreamError:
    """The error for an answer whose status is not 2xx.

    Args:
        provider: Who answered.
        endpoint: Where; its key is removed from the message, in case it is repeated there.
        status: The status of the answer.
        headers: Its headers.
        body: Its body, or the beginning of it.
    """
    told = _told(body)
    message = told.message
    if len(endpoint.api_key) >= 8:
        message = message.replace(endpoint.api_key, "***")
    retry_after = headers.get("Retry-After")
    passed_headers = {"Retry-After": retry_after} if retry_after else {}
    if status in _PASSED_ON:
        code = told.code or ("not_found" if status == 404 else "invalid_request")
        if status in (400, 413, 422) and told.code is None and _TOO_LONG.search(message):
            code = CONTEXT_OVERFLOW
        return UpstreamError(
            status,
            message or f"{provider.name} refused the request with status {status}",
            code=code,
            param=told.param,
            upstream_status=status,
        )
    if status == 429:
        return UpstreamError(
            429,
            message or f"{provider.name} has no capacity for this request now; try again later",
            code=told.code or "rate_limit_exceeded",
            headers=passed_headers,
            upstream_status=status,
            retry=Retry.ELSEWHERE,
        )
    if status in (401, 403):
        return UpstreamError(
            502,
            _sentence(f"{provider.name} refused this server's credentials", message),
            code="upstream_unauthorized",
            upstream_status=status,
        )
    if 300 <= status < 400:
        return UpstreamError(
            502,
            f"{provider.name} redirects elsewhere; its address in the settings has to be the final one",
            code="upstream_error",
            upstream_status=status,
        )
    if status == 500 and _CANNOT_TAKE.search(message):
        return UpstreamError(
            400, message, code=told.code or "unsupported_content", param="messages", upstream_status=status
        )
    if status == 503:
        loading = _LOADING.search(message) is not None
        return _not_ready(provider, message, loading=loading, headers=passed_headers, upstream_status=status)
    not_there = status in _NOT_THERE
    return UpstreamError(
        502,
        _sentence(f"{provider.name} failed with status {status}", message),
        code="upstream_error",
        headers=passed_headers,
        upstream_status=status,
        retry=Retry.ANYWHERE if not_there else Retry.ELSEWHERE if status >= 500 else Retry.NO,
        blames_endpoint=status >= 500,
    )


def from_failure(provider: Provider, failure: Exception) -> UpstreamError:
    """The error for a request that got no answer: a refused or broken connection, or silence."""
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return UpstreamError(
            504,
            f"{provider.name} did not take the connection in time",
            code="upstream_timeout",
            retry=Retry.ELSEWHERE,
            blames_endpoint=True,
        )
    if isinstance(failure, asyncio.TimeoutError):
        return silent(provider, "did not answer in time")
    if isinstance(failure, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return UpstreamError(502, f"the address of {provider.name} is not usable", code="upstream_error")
    if isinstance(failure, aiohttp.ClientSSLError):
        reason = "its certificate is not trusted or its TLS is broken"
    elif isinstance(failure, aiohttp.ClientConnectorDNSError):
        reason = "its host name is not known"
    elif isinstance(failure, aiohttp.ClientConnectorError):
        reason = "the connection was refused"
    elif isinstance(failure, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        reason = "the connection broke before an answer"
    else:
        reason = "its answer is not valid HTTP"
    if provider.supervised and isinstance(failure, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        return _not_ready(provider, reason, loading=True)
    return UpstreamError(
        502,
        f"{provider.name} cannot be reached: {reason}",
        code="upstream_unreachable",
        retry=Retry.ANYWHERE,
        blames_endpoint=True,
    )


def _not_ready(
    provider: Provider,
    told: str,
    *,
    loading: bool,
    headers: Mapping[str, str] | None = None,
    upstream_status: int | None = None,
) -> UpstreamError:
    """The error for a provider that will answer later: 503, which clients try again by themselves."""
    away = _sentence(f"{provider.name} is not available now", told)
    return UpstreamError(
        503,
        "the model is loading; try again shortly" if loading else away,
        code="model_loading" if loading else "upstream_unavailable",
        headers={"Retry-After": "1", **(headers or {})},
        upstream_status=upstream_status,
        retry=Retry.ANYWHERE,
        blames_endpoint=True,
    )


def silent(provider: Provider, what: str) -> UpstreamError:
    """The error for a provider that keeps a connection open and says nothing: 504."""
    return UpstreamError(504, f"{provider.name} {what}", code="upstream_timeout", blames_endpoint=True)


def busy(provider: Provider, why: str) -> UpstreamError:
    """The error for a provider that has as many requests as it may have at a time: 429."""
    return UpstreamError(
        429,
        f"{provider.name} has as many requests as it takes at a time, and {why}; try again later",
        code=PROVIDER_BUSY,
        headers={"Retry-After": "1"},
    )


def broken_off(provider: Provider) -> UpstreamError:
    """The error for an answer that ended in the middle: 502."""
    return UpstreamError(
        502,
        f"{provider.name} broke off in the middle of its answer",
        code="upstream_broken_off",
        blames_endpoint=True,
    )


def too_large(provider: Provider, most: int) -> UpstreamError:
    """The error for an answer of more than `most` bytes, which is not read any further: 502."""
    return UpstreamError(
        502,
        f"the answer of {provider.name} is larger than {most / 2**20:g} MB, the most that is passed on; "
        "ask for less at once, or let the administrator raise JAN_MAX_RESPONSE_MB",
        code="upstream_answer_too_large",
    )


def empty(provider: Provider) -> UpstreamError:
    """The error for a stream that ended before its first byte: 502."""
    return UpstreamError(
        502,
        f"{provider.name} ended its answer before it began",
        code="upstream_error",
        retry=Retry.ANYWHERE,
        blames_endpoint=True,
    )


class _Told:
    """What an error body says."""

    __slots__ = ("code", "message", "param")

    def __init__(self, message: str, code: str | None = None, param: str | None = None) -> None:
        self.message = message.strip()[:LONGEST_MESSAGE]
        self.code = code
        self.param = param


def _told(body: bytes) -> _Told:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode(errors="replace").strip()
        # A web page of some front says nothing to the caller of an API.
        return _Told("" if text.startswith("<") else text)
    if isinstance(value, list) and value:
        value = value[0]
    return _read(value)


def _read(value: Any) -> _Told:
    if isinstance(value, str):
        return _Told(value)
    if not isinstance(value, dict):
        return _Told("")
    inner = value.get("error")
    if isinstance(inner, dict):
        return _read(inner)
    message = value.get("message") or inner or value.get("detail")
    param = value.get("param")
    if isinstance(message, list):
        message, param = _first_detail(message)
    code = value.get("code")
    if not isinstance(code, str):
        code = _CODES.get(str(value.get("type")))
    return _Told(
        message if isinstance(message, str) else "", code or None, param if isinstance(param, str) else None
    )


def _first_detail(details: list[Any]) -> tuple[str, str | None]:
    """FastAPI's `detail` list, as vLLM and others send it."""
    first = details[0] if details and isinstance(details[0], dict) else {}
    place = [str(part) for part in first.get("loc", ()) if part != "body"]
    name = ".".join(place) or None
    text = str(first.get("msg", ""))
    return (f"{name}: {text}" if name and text else text), name


def _sentence(start: str, message: str) -> str:
    return f"{start}: {message}" if message else start
