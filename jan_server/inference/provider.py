"""Providers: who answers requests for models, and at which addresses.

These records know no database and no settings: llm-api fills them from its tables, and the client
takes them as they are (contract/llm-api.md, section 22).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a provider.

    Attributes:
        url: Where its OpenAI-compatible API begins, up to and including `/v1`. A query is kept and
            sent with every request, as Azure's `?api-version=…` needs.
        weight: Its share of the requests among the endpoints of the same priority; 0 gets none as
            long as another one works.
        priority: Endpoints of the lowest number are used; the next number only when all of those fail.
        api_key: The credential; blank or `none` sends none.
        headers: Further request headers, as pairs.
    """

    url: str
    weight: int = 1
    priority: int = 0
    api_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a provider may take, in seconds.

    Attributes:
        connect: To take the connection.
        first_token: To send the first byte of a stream.
        idle: Between two bytes of a stream. A caller that reads slowly does not count.
        answer: For a whole answer that is not streamed.
    """

    connect: float = 10.0
    first_token: float = 120.0
    idle: float = 60.0
    answer: float = 600.0


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """How many requests a provider gets at a time from this process.

    Attributes:
        running: The most requests that are under way; a stream is until it ends.
        queued: The most requests that wait for a place.
        seconds: How long one of them waits.
    """

    running: int
    queued: int = 100
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible provider.

    Attributes:
        id: Its public id; health is kept by it, across changes of the rest.
        name: What people call it; error messages use it.
        endpoints: Its addresses; none when it answers inside this process (see `embedder`).
        kind: One of contract/llm-api.md, section 22.1; it decides the credential's header.
        timeouts: How long it may take.
        attempts: How many endpoints a request may be tried on, the first one included.
        prompted_tools: Whether tools have to be described in the prompt, because its models know none
            (`prompted_tools.py`).
        supervised: Whether this installation runs it and starts it again when it ends: while it refuses
            connections, its model is loading.
        limit: How many requests it gets at a time; None for any number.
    """

    id: str
    name: str
    endpoints: tuple[Endpoint, ...]
    kind: str = "custom"
    timeouts: Timeouts = Timeouts()
    attempts: int = 3
    prompted_tools: bool = False
    supervised: bool = False
    limit: ConcurrencyLimit | None = None
