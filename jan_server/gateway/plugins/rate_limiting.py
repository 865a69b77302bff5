"""rate-limiting: so many requests per second, minute, hour, day, month or year.

Source: Kong 3.5's plugin of the same name, its headers included; contract/gateway.md section
4.3. `consumer` means the authenticated person: the file's consumer is the same for every
token of a realm, and people must not share a bucket.
"""

from __future__ import annotations

import calendar
import hashlib
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import time as unix_time
from typing import NamedTuple, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from jan_server.gateway.entities import Plugin
from jan_server.gateway.exchange import Exchange, Header
from jan_server.gateway.fields import Fields, KongFileError
from jan_server.gateway.plugins.kind import PluginKind, RedisAddress, Surroundings
from jan_server.gateway.rejection import Reply, refused
from jan_server.http.client_address import limit_key
from jan_server.http.errors import ApiError

logger = logging.getLogger("jan.gateway.rate_limiting")

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "month": 2_592_000, "year": 31_536_000}
"""The windows, shortest first, and how long Kong counts each."""

_NAMES = {
    name: (f"x-ratelimit-limit-{name}".encode(), f"x-ratelimit-remaining-{name}".encode()) for name in SECONDS
}

LIMIT_BY = ("consumer", "credential", "ip", "service", "header", "path")
REMEMBERED_CALLERS = 100_000
LONGEST_CALLER = 128
_address = lru_cache(maxsize=10_000)(limit_key)

COMPLAINT_SECONDS = 10.0
"""How often a counter store that does not answer is complained about."""


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings, named as Kong names them.

    Attributes:
        limits: Window and greatest number of requests, shortest window first.
        redis: Where the counters are; None counts in this process.
    """

    limits: tuple[tuple[str, float], ...]
    limit_by: str
    header_name: str
    path: str
    fault_tolerant: bool
    hide_client_headers: bool
    error_code: int
    error_message: str
    redis: RedisAddress | None


def read(fields: Fields) -> Config:
    """Read `config`."""
    limits = tuple((name, fields.number(name, 0, above=0)) for name in SECONDS if fields.has(name))
    for name in SECONDS:
        fields.take(name)
    policy = fields.text("policy", "local", one_of=("local", "redis"))
    config = Config(
        limits=limits,
        limit_by=fields.text("limit_by", "consumer", one_of=LIMIT_BY),
        header_name=fields.text("header_name").lower(),
        path=fields.text("path"),
        fault_tolerant=fields.flag("fault_tolerant", True),
        hide_client_headers=fields.flag("hide_client_headers", False),
        error_code=fields.whole("error_code", 429, least=400, most=599),
        error_message=fields.text("error_message", "API rate limit exceeded"),
        redis=_read_redis(fields, required=policy == "redis"),
    )
    if fields.number("sync_rate", -1) != -1:
        raise fields.error("sync_rate", "not supported: counters are always in step (-1)")
    fields.end()
    _check_order(fields, limits)
    if config.limit_by == "header" and not config.header_name:
        raise fields.error("header_name", "limit_by: header needs it")
    if config.limit_by == "path" and not config.path:
        raise fields.error("path", "limit_by: path needs it")
    return config


def _check_order(fields: Fields, limits: Sequence[tuple[str, float]]) -> None:
    if not limits:
        raise KongFileError(fields.path, f"at least one limit is required: {', '.join(SECONDS)}")
    for (shorter, fewer), (longer, more) in itertools.pairwise(limits):
        if more < fewer:
            words = f"the limit per {longer} ({more:g}) cannot be lower than that per {shorter} ({fewer:g})"
            raise fields.error(longer, words)


def _read_redis(fields: Fields, *, required: bool) -> RedisAddress | None:
    host = fields.text("redis_host")
    address = RedisAddress(
        host=host,
        port=fields.whole("redis_port", 6379, least=1, most=65_535),
        database=fields.whole("redis_database", 0),
        username=fields.text("redis_username"),
        password=fields.text("redis_password"),
        tls=fields.flag("redis_ssl", False),
        verify_tls=fields.flag("redis_ssl_verify", False),
        seconds=fields.whole("redis_timeout", 2000, least=1) / 1000,
    )
    fields.refuse("redis_server_name", reason="the certificate is checked against redis_host")
    if required and not host:
        raise fields.error("redis_host", "policy: redis needs it")
    return address if required else None


class Window(NamedTuple):
    """A limit in the window that is open now.

    Attributes:
        name: For example `minute`.
        limit: The greatest number of requests.
        start: When the window began, Unix seconds.
    """

    name: str
    limit: float
    start: int

    def resets_in(self, now: float) -> int:
        """Seconds until the next window, at least 1."""
        return max(1, SECONDS[self.name] - int(now - self.start))


class Counters(Protocol):
    """Counts requests by caller and window."""

    async def take(self, caller: str, windows: Sequence[Window]) -> list[int]:
        """Count one request, unless a window is full.

        Returns:
            How many requests each window had seen before this one.
        """


class LocalCounters:
    """Counters in this process. A window's counters are dropped when the next one begins.

    Args:
        most: How many callers a window remembers; beyond, the one that was quiet longest is forgotten.
    """

    def __init__(self, most: int = REMEMBERED_CALLERS) -> None:
        self._most = most
        self._windows: dict[str, tuple[int, OrderedDict[str, int]]] = {}

    async def take(self, caller: str, windows: Sequence[Window]) -> list[int]:
        """Count one request; see `Counters`."""
        tables = []
        for window in windows:
            known = self._windows.get(window.name)
            if known is None or known[0] != window.start:
                known = self._windows[window.name] = (window.start, OrderedDict())
            tables.append(known[1])
        used = [table.get(caller, 0) for table in tables]
        if all(count < window.limit for count, window in zip(used, windows, strict=True)):
            for table, count in zip(tables, used, strict=True):
                table[caller] = count + 1
                if len(table) > self._most:
                    table.popitem(last=False)
        for table in tables:
            if caller in table:
                table.move_to_end(caller)
        return used


class RedisCounters:
    """Counters in Redis, shared by all gateways that use it; one round trip a request."""

    _SCRIPT = """
    local used, full = {}, false
    for index, key in ipairs(KEYS) do
      used[index] = tonumber(redis.call("GET", key) or "0")
      if used[index] >= tonumber(ARGV[index * 2 - 1]) then full = true end
    end
    if not full then
      for index, key in ipairs(KEYS) do
        if redis.call("INCR", key) == 1 then redis.call("EXPIRE", key, ARGV[index * 2]) end
      end
    end
    return used
    """

    def __init__(self, redis: Redis, scope: str) -> None:
        self._take = redis.register_script(self._SCRIPT)
        self._scope = scope

    async def take(self, caller: str, windows: Sequence[Window]) -> list[int]:
        """Count one request; see `Counters`. Raises RedisError, OSError or TimeoutError."""
        # The braces keep the keys of one call on one node of a cluster.
        place = f"ratelimit:{{{self._scope}:{caller}}}"
        keys = [f"{place}:{window.start}:{window.name}" for window in windows]
        arguments = [text for window in windows for text in (str(window.limit), str(SECONDS[window.name]))]
        used: list[int] = await self._take(keys=keys, args=arguments)
        return used


class RateLimiting:
    """Counts requests and refuses those above the limit."""

    def __init__(self, config: Config, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._complained_at = float("-inf")

    async def access(self, exchange: Exchange) -> Reply | None:
        """Count the request, or refuse it."""
        config = self._config
        now = unix_time()
        windows = [Window(name, limit, window_start(name, now)) for name, limit in config.limits]
        try:
            used = await self._counters.take(self._caller(exchange), windows)
        except (RedisError, OSError, TimeoutError) as failure:
            self._complain(failure)
            if config.fault_tolerant:
                return None
            raise ApiError(500, "An unexpected error occurred", code="internal_error") from failure
        full = any(count >= window.limit for count, window in zip(used, windows, strict=True))
        if full or not config.hide_client_headers:
            headers, reset = _headers(windows, used, now, full=full)
            if not config.hide_client_headers:
                exchange.response_headers.extend(headers)
            if full:
                error = ApiError(
                    config.error_code,
                    config.error_message,
                    code="rate_limit_exceeded",
                    headers={"Retry-After": str(reset)},
                )
                return refused(error, exchange.request_id)
        return None

    def _caller(self, exchange: Exchange) -> str:
        """Whom a request is counted for; the address where the wanted thing is not there."""
        by, found = self._config.limit_by, ""
        if by == "consumer":
            if exchange.principal is not None:
                found = exchange.principal.subject
            elif exchange.consumer is not None:
                found = exchange.consumer.id
        elif by == "credential":
            found = exchange.credential_id
        elif by == "service":
            found = exchange.match.service.name if exchange.match.service else ""
        elif by == "header":
            found = exchange.given.get(self._config.header_name.encode(), b"").decode("latin-1")
        elif by == "path" and exchange.match.path == self._config.path:
            found = self._config.path
        if not found:
            return f"ip:{_address(exchange.client_ip)}"
        if len(found) > LONGEST_CALLER:
            # A client chooses how long a header is, and should not choose how much is remembered.
            found = hashlib.sha256(found.encode()).hexdigest()
        return f"{by}:{found}"

    def _complain(self, failure: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            logger.error("requests are not counted: %s", failure)


def window_start(name: str, now: float) -> int:
    """When the window that `now` lies in began, in Unix seconds; months and years are the calendar's."""
    if name in ("month", "year"):
        moment = time.gmtime(now)
        return calendar.timegm((moment.tm_year, moment.tm_mon if name == "month" else 1, 1, 0, 0, 0))
    length = SECONDS[name]
    return int(now) // length * length


def _headers(
    windows: Sequence[Window], used: Sequence[int], now: float, *, full: bool
) -> tuple[list[Header], int]:
    """Kong's headers, and the seconds until the tightest window opens again."""
    headers: list[Header] = []
    tightest: Window | None = None
    tightest_left = 0
    for window, count in zip(windows, used, strict=True):
        left = int(max(0, window.limit - count - (0 if full else 1)))
        limit_name, left_name = _NAMES[window.name]
        headers.append((limit_name, _number(window.limit)))
        headers.append((left_name, b"%d" % left))
        # Of equally tight windows the longer one tells how long to wait.
        if tightest is None or left <= tightest_left:
            tightest, tightest_left = window, left
    assert tightest is not None
    reset = tightest.resets_in(now)
    headers.append((b"ratelimit-limit", _number(tightest.limit)))
    headers.append((b"ratelimit-remaining", b"%d" % tightest_left))
    headers.append((b"ratelimit-reset", b"%d" % reset))
    return headers, reset


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else f"{value:g}".encode()


def build(plugin: Plugin, surroundings: Surroundings) -> RateLimiting:
    """Make the running plugin; what it is attached to has a bucket of its own."""
    config: Config = plugin.config
    if config.redis is None:
        return RateLimiting(config, LocalCounters())
    scope = ":".join((plugin.route or "-", plugin.service or "-", plugin.consumer or "-"))
    return RateLimiting(config, RedisCounters(surroundings.redis(config.redis), scope))


KIND = PluginKind("rate-limiting", 910, read, build)
