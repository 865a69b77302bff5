"""Messages that fit into a model's context: the oldest are left out, never the instructions.

Source: contract/response-api.md, section 7.3, kept together where it took calls and results apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

DEFAULT_CONTEXT = 128_000
"""Tokens of a model whose catalogue says nothing."""

SHARE = 0.8
"""How much of the context the messages may fill; the answer needs some too."""

_CHARACTERS_PER_TOKEN = 4
_PER_MESSAGE = 10
_PER_CALL = 20


def trimmed(messages: Sequence[dict[str, Any]], context: int) -> list[dict[str, Any]]:
    """The messages that fit, the newest always among them.

    Args:
        messages: All of them, in their order.
        context: The model's context in tokens.
    """
    budget = int(context * SHARE)
    groups = _groups(messages)
    size = sum(estimate(message) for message in messages)
    kept: list[list[dict[str, Any]]] = []
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        if size > budget and not last and group[0]["role"] != "system":
            size -= sum(estimate(message) for message in group)
            continue
        kept.append(group)
    return [message for group in kept for message in group]


def estimate(message: Mapping[str, Any]) -> int:
    """About how many tokens a message has."""
    content = message.get("content")
    text = content if isinstance(content, str) else orjson.dumps(content).decode() if content else ""
    tokens = len(text) // _CHARACTERS_PER_TOKEN + _PER_MESSAGE
    for call in message.get("tool_calls", ()):
        function = call["function"]
        tokens += _PER_CALL + (len(function["name"]) + len(function["arguments"])) // _CHARACTERS_PER_TOKEN
    return tokens


def _groups(messages: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Messages that only make sense together: calls and their results."""
    groups: list[list[dict[str, Any]]] = []
    for message in messages:
        if message["role"] == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups
