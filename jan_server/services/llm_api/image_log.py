"""Pictures in conversations: the prompt as the user's message, the result as an item of its own type.

Source: contract/llm-api.md, sections 8.1 and 8.2 (REC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jan_server.database.engine import Database
from jan_server.services.llm_api.conversations import find_conversation
from jan_server.services.llm_api.image_files import data_url
from jan_server.services.llm_api.image_requests import EDIT, ImageRequest
from jan_server.services.llm_api.item_content import Block, image_block, text_block
from jan_server.services.llm_api.items import NewItem, append_items
from jan_server.services.llm_api.media_client import MediaCaller, MediaClient
from jan_server.services.llm_api.tables import now

GENERATION_ITEM = "image_generation_call"
EDIT_ITEM = "image_edit_call"


async def store_pictures(
    database: Database,
    media: MediaClient,
    request: ImageRequest,
    pictures: Sequence[Mapping[str, Any]],
    user_id: int,
    caller: MediaCaller,
) -> None:
    """Write an exchange into the conversation that the request names.

    Args:
        database: Where conversations are.
        media: Stores pictures that have no address yet.
        request: The request.
        pictures: What the caller gets.
        user_id: The key of the caller's row.
        caller: Who asks.

    Raises:
        Missing: The conversation was deleted in the meantime.
    """
    blocks: list[Block] = []
    for picture in pictures:
        if text := picture.get("revised_prompt"):
            blocks.append(text_block("text", str(text)))
        blocks.append(image_block(await _address(picture, media, caller)))
    kind = EDIT_ITEM if request.kind == EDIT else GENERATION_ITEM
    items = [
        NewItem(role="user", content=[text_block("input_text", request.prompt.replace("\0", ""))]),
        NewItem(type=kind, role="assistant", content=blocks, completed_at=now()),
    ]
    async with database.session() as session:
        conversation = await find_conversation(session, user_id, request.conversation_id)
        await append_items(session, conversation, items)


async def _address(picture: Mapping[str, Any], media: MediaClient, caller: MediaCaller) -> str:
    """Where a picture can be seen; the picture itself where it cannot be stored."""
    if url := picture.get("url"):
        return str(url)
    address = data_url(str(picture.get("b64_json", "")))
    stored = await media.store(address, caller)
    return address if stored is None else stored.url
