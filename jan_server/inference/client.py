"""The client of every provider: it picks an endpoint, sends the body as it is, and relays the answer.

Bytes are relayed as they come. A request is tried again, on another endpoint where there is one, only
as long as the caller has not received a byte. A caller who leaves closes the connection at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from jan_server.inference import upstream_errors
from jan_server.inference.answer_size import MEGABYTE, check_begun, read_beginning, read_whole
from jan_server.inference.answer_stream import AnswerStream
from jan_server.inference.concurrency import ProviderPlaces
from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.request_body import StreamedBody
from jan_server.inference.selection import EndpointSelector
from jan_server.inference.upstream_errors import Retry, UpstreamError
from jan_server.inference.whole_answer import StreamedAnswer, streaming_body

logger = logging.getLogger("jan.inference.client")

ANTHROPIC_VERSION = "2023-06-01"

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_SAME_WARNING_SECONDS = 30.0
_GENERATING = frozenset({"/chat/completions", "/completions"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        status: 200 to 299.
        headers: The provider's headers.
        body: The body, already decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class UpstreamClient:
    """Calls providers over the process's one pooled session. Make it inside the running loop.

    Args:
        session: The pooled session; whoever opened it closes it.
        selector: Where the endpoints' conditions are kept; by default its own.
        largest_answer_mb: How large an answer may be, in units of 2^20 bytes; 0 for any size.

    Attributes:
        selector: Where the endpoints' conditions are kept.
        open_calls: How many calls are under way.
        loop: The running loop.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        selector: EndpointSelector | None = None,
        *,
        largest_answer_mb: float = 0,
    ) -> None:
        self.selector = selector or EndpointSelector()
        self.open_calls = 0
        self.loop = asyncio.get_running_loop()
        self._session = session
        self._most = int(largest_answer_mb * MEGABYTE)
        self._places = ProviderPlaces()
        # Endpoints run by llama.cpp, which goes on with a whole answer when its caller has left.
        self._heedless: set[str] = set()
        # The last warning of each endpoint that fails, and until when it is not repeated.
        self._warned: dict[tuple[str, str], tuple[str, float]] = {}

    async def complete(
        self,
        provider: Provider,
        path: str,
        body: bytes | None = None,
        *,
        method: str = "POST",
        content_type: str = "application/json",
    ) -> Answer:
        """Ask for a whole answer.

        Args:
            provider: Whom.
            path: Below the endpoint's URL, for example `/chat/completions`.
            body: Sent as it is.
            method: The HTTP method.
            content_type: What the body is.

        Raises:
            UpstreamError: No endpoint gave an answer, or the provider is busy; ready to be shown to the
                caller.
        """
        # What is asked without a body costs the provider nothing.
        limited = provider.limit is not None and body is not None
        place = await self._places.enter(provider) if limited else None
        tried: list[str] = []
        try:
            while True:
                endpoint = self._choose(provider, tried)
                try:
                    if body is not None and path in _GENERATING and endpoint.url in self._heedless:
                        return await self._streamed_whole(provider, endpoint, path, body)
                    return await self._whole(provider, endpoint, method, path, body, content_type)
                except UpstreamError as error:
                    await self._before_next_try(provider, endpoint, error, tried)
        finally:
            if place is not None:
                place.leave()

    async def stream(
        self,
        provider: Provider,
        path: str,
        body: bytes | StreamedBody,
        *,
        content_type: str = "application/json",
    ) -> AnswerStream:
        """Ask for an answer that is relayed as it comes, and wait for its first byte.

        Args:
            provider: Whom.
            path: Below the endpoint's URL.
            body: Sent as it is, or as it comes; it says itself that it wants a stream.
            content_type: What the body is.

        Raises:
            UpstreamError: No endpoint began to answer, or the provider is busy; ready to be shown to the
                caller.
            Exception: The body could not be read to its end: what it failed with.
        """
        place = None if provider.limit is None else await self._places.enter(provider)
        tried: list[str] = []
        try:
            while True:
                endpoint = self._choose(provider, tried)
                try:
                    answer = await self._begun(provider, endpoint, path, body, content_type)
                    # From here on the place is the stream's, which leaves it at its end.
                    answer.place, place = place, None
                    return answer
                except UpstreamError as error:
                    if not isinstance(body, bytes) and body.failure is not None:
                        raise body.failure from error
                    again = isinstance(body, bytes) or body.can_be_sent_again
                    await self._before_next_try(provider, endpoint, error, tried, again=again)
        finally:
            if place is not None:
                place.leave()

    def note_failure(self, provider: Provider, endpoint: Endpoint, error: UpstreamError) -> None:
        """Remember and log that a call failed, once; an endpoint that is to blame rests.

        While such an endpoint says the same again and again, it is logged only now and then.
        """
        if error.noted:
            return
        error.noted = True
        if error.blames_endpoint:
            self.selector.failed(provider, endpoint)
            message, until = self._warned.get((provider.id, endpoint.url), ("", 0.0))
            now = self.loop.time()
            if message == error.message and now < until:
                return
            self._warned[provider.id, endpoint.url] = (error.message, now + _SAME_WARNING_SECONDS)
        logger.warning(
            "%s at %s: %s",
            provider.name,
            URL(endpoint.url).with_query(None).with_user(None),
            error.message,
            extra={"provider": provider.id, "upstream_status": error.upstream_status},
        )

    def _choose(self, provider: Provider, tried: list[str]) -> Endpoint:
        endpoint = self.selector.choose(provider, tried) or self.selector.choose(provider)
        if endpoint is None:
            # It answers inside this process, and there only what it was made for.
            raise UpstreamError(
                400, f"{provider.name} does not answer such requests", code="unsupported_model"
            )
        return endpoint

    async def _before_next_try(
        self,
        provider: Provider,
        endpoint: Endpoint,
        error: UpstreamError,
        tried: list[str],
        *,
        again: bool = True,
    ) -> None:
        """Raise the error when no further try is allowed; else return when it is time for it."""
        self.note_failure(provider, endpoint, error)
        if not again:
            raise error
        tried.append(endpoint.url)
        another = any(other.url not in tried for other in provider.endpoints)
        allowed = another if error.retry is Retry.ELSEWHERE else error.retry is Retry.ANYWHERE
        if not allowed or len(tried) >= provider.attempts:
            raise error
        if not another:
            longest = min(_FIRST_PAUSE_SECONDS * 2 ** len(tried), _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311

    async def _whole(
        self,
        provider: Provider,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
    ) -> Answer:
        timeouts = provider.timeouts
        self.open_calls += 1
        try:
            response = await self._session.request(
                method,
                _url(endpoint.url, path),
                data=body,
                headers=_headers(provider.kind, endpoint.api_key, endpoint.headers, content_type),
                timeout=_limits(timeouts.connect, timeouts.answer),
                allow_redirects=False,
                proxy=_proxy(endpoint.url),
            )
            well = 200 <= response.status < 300
            try:
                if well:
                    content = await read_whole(provider, response, self._most)
                else:
                    content = await read_beginning(response.content)
            except TimeoutError:
                raise
            except (aiohttp.ClientError, OSError) as failure:
                raise upstream_errors.broken_off(provider) from failure
            finally:
                if not response.content.at_eof():
                    response.close()
        except (aiohttp.ClientError, OSError) as failure:
            raise upstream_errors.from_failure(provider, failure) from failure
        finally:
            self.open_calls -= 1
        headers = response.headers
        if not well:
            raise upstream_errors.from_answer(provider, endpoint, response.status, headers, content)
        self._answered(provider, endpoint, headers)
        return Answer(response.status, headers, content)

    async def _streamed_whole(self, provider: Provider, endpoint: Endpoint, path: str, body: bytes) -> Answer:
        """A whole answer, asked for as a stream so that the engine notices when the caller leaves."""
        request = streaming_body(body)
        if request is None:
            return await self._whole(provider, endpoint, "POST", path, body, "application/json")
        answer = StreamedAnswer(provider, endpoint)
        try:
            async with asyncio.timeout(provider.timeouts.answer):
                begun = await self._begun(provider, endpoint, path, request, "application/json")
                async with begun:
                    async for chunk in begun:
                        answer.feed(chunk)
        except TimeoutError as failure:
            raise upstream_errors.from_failure(provider, failure) from failure
        return Answer(begun.status, {"Content-Type": "application/json"}, answer.body())

    async def _begun(
        self,
        provider: Provider,
        endpoint: Endpoint,
        path: str,
        body: bytes | StreamedBody,
        content_type: str,
    ) -> AnswerStream:
        timeouts = provider.timeouts
        response: aiohttp.ClientResponse | None = None
        begun = False
        self.open_calls += 1
        try:
            async with asyncio.timeout(timeouts.first_token):
                response = await self._session.request(
                    "POST",
                    _url(endpoint.url, path),
                    data=body if isinstance(body, bytes) else body.chunks(),
                    headers=_headers(
                        provider.kind,
                        endpoint.api_key,
                        endpoint.headers,
                        content_type,
                        # llama.cpp closes the connection behind a stream without saying so before.
                        closing=endpoint.url in self._heedless,
                    ),
                    timeout=_limits(timeouts.connect, None),
                    allow_redirects=False,
                    proxy=_proxy(endpoint.url),
                )
                first = await response.content.readany()
                if not 200 <= response.status < 300:
                    whole = await read_beginning(response.content, first)
                    raise upstream_errors.from_answer(
                        provider, endpoint, response.status, response.headers, whole
                    )
            if not first:
                raise upstream_errors.empty(provider)
            check_begun(provider, response, self._most, first)
            self._answered(provider, endpoint, response.headers)
            stream = AnswerStream(self, provider, endpoint, response, first, self._most)
            begun = True
            return stream
        except aiohttp.ClientPayloadError as failure:
            raise upstream_errors.empty(provider) from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise upstream_errors.from_failure(provider, failure) from failure
        finally:
            if not begun:
                self.open_calls -= 1
                if response is not None:
                    response.close()

    def _answered(self, provider: Provider, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        self.selector.succeeded(provider, endpoint)
        if self._warned:
            self._warned.pop((provider.id, endpoint.url), None)
        if headers.get("Server") == "llama.cpp":
            self._heedless.add(endpoint.url)


@lru_cache(maxsize=1024)
def _url(base: str, path: str) -> URL:
    url = URL(base)
    return url.with_path(url.path.rstrip("/") + path, keep_query=True)


def _headers(
    kind: str,
    api_key: str,
    further: tuple[tuple[str, str], ...],
    content_type: str,
    *,
    closing: bool = False,
) -> CIMultiDict[str]:
    headers = _json_headers(kind, api_key, further)
    if content_type != headers["Content-Type"]:
        # Forms have a boundary of their own each: they would fill the cache.
        headers = headers.copy()
        headers["Content-Type"] = content_type
    if closing:
        # The others share what is cached.
        headers = headers.copy()
        headers["Connection"] = "close"
    return headers


@lru_cache(maxsize=1024)
def _json_headers(kind: str, api_key: str, further: tuple[tuple[str, str], ...]) -> CIMultiDict[str]:
    """The headers of a request; the credential's one is contract/llm-api.md, section 22.4."""
    headers = CIMultiDict({"Content-Type": "application/json", "Accept-Encoding": "identity"})
    key = api_key.strip()
    if key and key.lower() != "none":
        if kind == "azure_openai":
            headers["api-key"] = key
        elif kind == "anthropic":
            headers["X-API-Key"] = key
            headers["Anthropic-Version"] = ANTHROPIC_VERSION
        else:
            headers["Authorization"] = f"Bearer {key}"
    headers.update(further)
    return headers


@lru_cache(maxsize=64)
def _limits(connect: float, total: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=connect)


@lru_cache(maxsize=1024)
def _proxy(base: str) -> str | None:
    """The proxy that the environment or the system names for this address; never for this machine."""
    url = URL(base)
    if url.host is None or url.host in _LOOPBACK:
        return None
    if proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)
