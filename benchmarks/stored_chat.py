"""Chats that are written to a conversation, against the same bare proxy, which stores nothing.

Two forms: every chat begins a conversation of its own (`"conversation": {}`), and every chat goes on
with one that has a history, which is read, sent to the model and appended to. An answer counts once
its exchange is committed. Titles are made of text, as they are unless a model is asked for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.comparison import CONNECTIONS, Comparison, Length, Side, compare, latency, throughput
from benchmarks.load import chat_request
from benchmarks.platform import Servers

CONVERSATIONS = 256
"""How many conversations a round goes on with, in turn."""

HISTORY = 10
"""Items of such a conversation when a round begins."""


async def measure(servers: Servers, length: Length) -> list[Comparison]:
    """Both forms, on servers that are up."""
    platform = servers.platform
    bare = chat_request(servers.bare, model=servers.model)

    def chat(conversation: object) -> bytes:
        return chat_request(
            platform.gateway,
            token=platform.token,
            model=servers.model,
            extra={"conversation": conversation},
        )

    def going_on() -> Sequence[bytes]:
        return [chat(_conversation(servers)) for _ in range(CONVERSATIONS)]

    beginning = chat({})
    sides = {
        "new conversations": (
            Side(servers.bare, servers.bare_process, lambda: [bare]),
            Side(platform.gateway, platform.process, lambda: [beginning]),
        ),
        f"conversations of {HISTORY} items and more": (
            Side(servers.bare, servers.bare_process, lambda: [bare]),
            Side(platform.gateway, platform.process, going_on),
        ),
    }
    figures = []
    for name, pair in sides.items():
        figures.append(
            await compare(
                f"stored chat, {name}, {CONNECTIONS} connections",
                "requests/s",
                pair,
                throughput,
                connections=CONNECTIONS,
                length=length,
                target="ratio >= 0.20",
            )
        )
        figures.append(
            await compare(
                f"stored chat, {name}, median latency, 1 connection",
                "ms",
                pair,
                latency,
                connections=1,
                length=length,
                target="",
            )
        )
    return figures


def _conversation(servers: Servers) -> str:
    """The id of a new conversation with some turns in it."""
    items = [
        {"role": role, "content": [{"type": "text", "text": f"{role} says something in turn {turn}."}]}
        for turn in range(HISTORY // 2)
        for role in ("user", "assistant")
    ]
    made = servers.platform.post("/v1/conversations", {"title": "A stored chat", "items": items})
    return str(made["id"])
