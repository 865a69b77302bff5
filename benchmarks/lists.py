"""Long lists through the gateway: a conversation of 10,000 items, and 10,000 conversations of one user.

One connection asks for pages of 20, again and again: the first page, and one behind nine tenths of
the list, by cursor and by offset, in both orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from benchmarks.load import chat_request, get_request, run_round
from benchmarks.platform import Servers

LENGTH = 10_000
DEEP = LENGTH * 9 // 10
PAGE = 20
AT_ONCE = 20
"""Items that one request may bring."""

FILL_CONNECTIONS = 16
FILL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PageFigure:
    """How long one page takes.

    Attributes:
        name: Which page of which list.
        milliseconds: The median.
        target: What the project promises, in words.
    """

    name: str
    milliseconds: float
    target: str


async def measure(servers: Servers, *, seconds: float) -> list[PageFigure]:
    """Fill both lists through the gateway, then time their pages for `seconds` each."""
    items = _fill_conversation(servers)
    await _fill_list(servers)
    return [
        *await _pages(servers, f"{LENGTH:,} items", items, seconds),
        *await _pages(servers, f"{LENGTH:,} conversations", "/v1/conversations", seconds),
    ]


def _fill_conversation(servers: Servers) -> str:
    """The path of the items of a new conversation that has `LENGTH` of them."""
    made = servers.platform.post("/v1/conversations", {"title": "A long conversation"})
    path = f"/v1/conversations/{made['id']}/items"
    for start in range(0, LENGTH, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        items = [{"role": "user", "content": f"This is message number {number}."} for number in numbers]
        servers.platform.post(path, {"items": items})
    return path


async def _fill_list(servers: Servers) -> None:
    """Begin conversations by chats until the user has `LENGTH`."""
    platform = servers.platform
    begin = chat_request(
        platform.gateway, token=platform.token, model=servers.model, extra={"conversation": {}}
    )
    while platform.get("/v1/conversations?limit=1")["total"] < LENGTH:
        result = await run_round(
            platform.gateway, [begin], connections=FILL_CONNECTIONS, seconds=FILL_SECONDS
        )
        if result.failures:
            raise RuntimeError(f"{result.failures} chats could not be stored")


async def _pages(servers: Servers, name: str, path: str, seconds: float) -> list[PageFigure]:
    figures = []
    for order in ("desc", "asc"):
        first: dict[str, object] = {"limit": PAGE, "order": order}
        by_offset = first | {"offset": DEEP}
        before = servers.platform.get(f"{path}?{urlencode(by_offset | {'limit': 1})}")
        by_cursor = first | {"after": before["data"][0]["id"]}
        for page, query, target in (
            ("first page", first, "<= 20 ms"),
            ("deep page by cursor", by_cursor, "<= twice the first"),
            ("deep page by offset", by_offset, "<= twice the first"),
        ):
            request = get_request(
                servers.platform.gateway, f"{path}?{urlencode(query)}", token=servers.platform.token
            )
            result = await run_round(servers.platform.gateway, [request], connections=1, seconds=seconds)
            if result.failures:
                raise RuntimeError(f"{result.failures} pages of {name} were not 200")
            figures.append(PageFigure(f"{name}, {order}, {page}", result.median_seconds * 1000, target))
    return figures
