"""What a provider of pictures answers, in the form that was asked for.

Source: contract/llm-api.md, section 8.1.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from jan_server.services.llm_api.image_files import data_url
from jan_server.services.llm_api.media_client import MediaCaller, MediaClient

Wanted = Literal["url", "b64_json"]

OUTPUT_TOKENS = 1000
"""What a picture counts where the provider does not say."""


def read_result(body: bytes) -> dict[str, Any] | None:
    """The provider's answer; None when it holds no pictures."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        return None
    return document  # type: ignore[no-any-return]  # just checked


async def shaped(
    document: Mapping[str, Any],
    wanted: Wanted | None,
    prompt: str,
    media: MediaClient,
    caller: MediaCaller,
) -> dict[str, Any]:
    """The answer for the caller.

    Args:
        document: The provider's answer.
        wanted: How each picture is to be handed over; None leaves them as they are.
        prompt: What was asked for, from which the usage is estimated where the provider tells none.
        media: Stores pictures that have no address yet.
        caller: Who asks.
    """
    entries = await asyncio.gather(*(_entry(entry, wanted, media, caller) for entry in document["data"]))
    return {
        **document,
        "created": document.get("created") or int(time.time()),
        "data": entries,
        "usage": document.get("usage") or estimated_usage(prompt, len(entries)),
    }


async def _entry(
    entry: Mapping[str, Any], wanted: Wanted | None, media: MediaClient, caller: MediaCaller
) -> dict[str, Any]:
    shown = {name: value for name, value in entry.items() if value is not None}
    packed, url = shown.get("b64_json"), shown.get("url")
    if wanted == "url" and not url and isinstance(packed, str):
        del shown["b64_json"]
        address = data_url(packed)
        stored = await media.store(address, caller)
        return {**shown, "url": address} if stored is None else {**shown, "id": stored.id, "url": stored.url}
    if wanted == "b64_json" and not packed and isinstance(url, str) and url.startswith("data:"):
        del shown["url"]
        return {**shown, "b64_json": url.partition(",")[2]}
    if wanted == "b64_json" and isinstance(packed, str) and packed.startswith("data:"):
        return {**shown, "b64_json": packed.partition(",")[2]}
    return shown


def estimated_usage(prompt: str, images: int) -> dict[str, Any]:
    """The usage where the provider tells none: a quarter of the prompt's characters, 1000 a picture."""
    read = max(1, len(prompt) // 4)
    written = OUTPUT_TOKENS * images
    return {
        "total_tokens": read + written,
        "input_tokens": read,
        "output_tokens": written,
        "input_tokens_details": {"text_tokens": read, "image_tokens": 0},
    }
