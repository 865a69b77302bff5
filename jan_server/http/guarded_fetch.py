"""Fetches of addresses that users name, which never lead into this machine or its networks.

Every outgoing request that a user can aim goes through here (design, section 6): http and https only,
to public addresses only. What is checked is the very address that is connected to, for every
connection, so neither a redirect nor a name that changes its mind leads elsewhere. Proxies of the
environment are not used: behind one, nobody here would know where a request goes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from jan_server.http.public_addresses import Address, is_public

USER_AGENT = "jan-server"
CONNECT_SECONDS = 10.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOLLOWED_METHODS = frozenset({"GET", "HEAD"})
# Everything else that a caller sends along may be meant for the first host alone.
_HEADERS_FOR_ANYBODY = frozenset({"accept", "accept-language", "user-agent"})
_CHUNK_BYTES = 65536
_ENCODED_SEPARATORS = ("%2e", "%2f", "%5c")

_AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class FetchRefused(Exception):
    """The address must not be fetched; the text says why."""


class FetchFailed(Exception):
    """The address could not be fetched; the text says why."""


class _AddressRefused(OSError):
    """A connection to an address that is not allowed."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much one fetch may take.

    Attributes:
        size: The longest body in bytes, decompressed.
        seconds: The time for everything, redirects included.
        redirects: How many redirects are followed.
    """

    size: int = 20 * 2**20
    seconds: float = 15.0
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched.

    Attributes:
        url: Where it was, after redirects.
        status: Any status but a redirect.
        headers: The headers of the answer.
        body: The body, decompressed.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters; empty when there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class GuardedFetcher:
    """Fetches what users name. Use it as an async context manager, one a service.

    Args:
        allowed_networks: Networks that may be reached although they are not public, for example
            `10.1.0.0/16`: the operator's choice.
        trusted: Beginnings of this installation's own URLs, path included, which may be fetched
            wherever they lead; never as the target of a redirect.
        resolver: Finds the addresses of names; by default the system does.

    Raises:
        ValueError: One of the networks is none.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        *,
        trusted: Iterable[str] = (),
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allowed = tuple(ip_network(text) for text in allowed_networks)
        self._trusted = tuple(URL(prefix) for prefix in trusted)
        self._resolver = resolver
        self._sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession] | None = None

    async def __aenter__(self) -> Self:
        resolver = _CheckedResolver(self._resolver or aiohttp.DefaultResolver(), self)
        guarded = aiohttp.TCPConnector(
            resolver=resolver, use_dns_cache=False, socket_factory=self._checked_socket
        )
        self._sessions = (_session(guarded), _session(aiohttp.TCPConnector()))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sessions is not None
        for session in self._sessions:
            await session.close()
        self._sessions = None

    def allows(self, address: Address) -> bool:
        """Whether connections to `address` may be made."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return is_public(address) or any(address in network for network in self._allowed)

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: FetchLimits = FetchLimits(),
    ) -> Fetched:
        """Fetch `url`; redirects are followed for GET and HEAD.

        Args:
            url: What the user named.
            method: The HTTP method.
            headers: Further request headers; on the way to another host most of them are dropped.
            body: What is sent.
            limits: How much it may take.

        Raises:
            FetchRefused: The address, or one that it leads to, must not be fetched.
            FetchFailed: There was no answer within the limits.
        """
        target = _checked_url(url)
        try:
            async with asyncio.timeout(limits.seconds):
                return await self._follow(target, method, dict(headers or {}), body, limits)
        except TimeoutError:
            raise FetchFailed(f"{target.host} did not answer within {limits.seconds:g} seconds") from None

    async def _follow(
        self, target: URL, method: str, headers: dict[str, str], body: bytes | None, limits: FetchLimits
    ) -> Fetched:
        assert self._sessions is not None, "use the fetcher as an async context manager"
        guarded, unguarded = self._sessions
        session = unguarded if self._is_trusted(target) else guarded
        for _ in range(limits.redirects + 1):
            if session is guarded:
                self._check_literal(target)
            found = await _once(session, target, method, headers, body, limits.size)
            if isinstance(found, Fetched):
                return found
            if method not in _FOLLOWED_METHODS:
                raise FetchFailed(f"{target.host} redirects, which is not followed for {method}")
            following = _checked_url(str(target.join(found)))
            if following.origin() != target.origin():
                headers = {
                    name: value for name, value in headers.items() if name.lower() in _HEADERS_FOR_ANYBODY
                }
            target, session = following, guarded
        raise FetchFailed(f"the address redirects more than {limits.redirects} times")

    def _is_trusted(self, target: URL) -> bool:
        path = target.raw_path
        if any(encoded in path.lower() for encoded in _ENCODED_SEPARATORS):
            return False
        return any(
            target.origin() == prefix.origin() and path.startswith(prefix.raw_path)
            for prefix in self._trusted
        )

    def _check_literal(self, target: URL) -> None:
        """Refuse a host that is an address itself and not allowed; names are checked as they are resolved."""
        host = (target.raw_host or "").removesuffix(".")
        try:
            address = ip_address(host)
        except ValueError:
            if _ends_in_number(host):
                raise FetchRefused(f"{host} is no host name and no address in its usual form") from None
            return
        if not self.allows(address):
            raise _refused(host)

    def _checked_socket(self, info: _AddressInfo) -> socket.socket:
        """The socket of one connection: the last place to look at where it goes."""
        family, kind, protocol, _, address = info
        host = str(address[0])
        try:
            allowed = self.allows(ip_address(host))
        except ValueError:
            allowed = False
        if not allowed:
            raise _AddressRefused(host)
        return socket.socket(family, kind, protocol)


class _CheckedResolver(AbstractResolver):
    """Resolves names and leaves out the addresses that are not allowed."""

    def __init__(self, resolver: AbstractResolver, fetcher: GuardedFetcher) -> None:
        self._inner = resolver
        self._fetcher = fetcher

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [entry for entry in found if self._fetcher.allows(ip_address(entry["host"]))]
        if found and not allowed:
            raise _AddressRefused(host)
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        trust_env=False,
    )


def _checked_url(url: str) -> URL:
    try:
        target = URL(url.strip())
        host = target.raw_host
    except ValueError as failure:
        raise FetchRefused(f"this is no address: {failure}") from failure
    if target.scheme not in ("http", "https") or not host:
        raise FetchRefused("only addresses that begin with http:// or https:// can be fetched")
    if target.raw_user is not None or target.raw_password is not None:
        raise FetchRefused("an address with a user name or a password in it is not fetched")
    return target


def _ends_in_number(host: str) -> bool:
    """Whether clients take the host for an IPv4 address, in decimal, octal or hexadecimal form."""
    last = host.rpartition(".")[2].lower()
    return last.isdigit() or (
        last.startswith("0x") and all(digit in "0123456789abcdef" for digit in last[2:])
    )


def _refused(host: str) -> FetchRefused:
    return FetchRefused(f"{host} is not an address of the public internet, so it is not fetched")


async def _once(
    session: aiohttp.ClientSession,
    target: URL,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None,
    size: int,
) -> Fetched | URL:
    """One request: what it fetched, or where it is redirected to."""
    try:
        async with session.request(
            method, target, headers=headers, data=body, allow_redirects=False
        ) as response:
            location = response.headers.get("Location")
            if response.status in _REDIRECTS and location:
                return URL(location)
            content = await _read(response, size)
            return Fetched(str(target), response.status, response.headers, content)
    except (aiohttp.ClientError, OSError, ValueError) as failure:
        if _is_refusal(failure):
            raise _refused(str(target.host)) from failure
        raise FetchFailed(f"{target.host} cannot be fetched: {_reason(failure)}") from failure


async def _read(response: aiohttp.ClientResponse, size: int) -> bytes:
    too_large = FetchFailed(f"the answer is larger than {size} bytes")
    if (response.content_length or 0) > size:
        raise too_large
    parts: list[bytes] = []
    length = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        length += len(chunk)
        if length > size:
            raise too_large
        parts.append(chunk)
    return b"".join(parts)


def _is_refusal(failure: BaseException) -> bool:
    while True:
        if isinstance(failure, _AddressRefused):
            return True
        cause = failure.__cause__
        if cause is None:
            return False
        failure = cause


def _reason(failure: Exception) -> str:
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(failure, aiohttp.ClientSSLError):
        return "its certificate is not trusted or its TLS is broken"
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return "it does not take the connection"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return "the connection was refused"
    if isinstance(failure, ValueError):
        return "it redirects to something that is no address"
    return "the connection broke or its answer is not valid HTTP"
