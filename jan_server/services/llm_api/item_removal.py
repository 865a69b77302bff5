"""Removing one item from the middle of a branch, as OpenAI's Conversations API deletes items.

The contract's own way, which keeps what it drops as a branch, is in `revisions`.
"""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.conversations import Conversation, lock_conversation, touch_conversation
from jan_server.services.llm_api.items import find_item
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.item import ITEMS

_REMOVE = (
    delete(ITEMS)
    .where(
        ITEMS.c.conversation_id == bindparam("conversation_id"),
        ITEMS.c.public_id == bindparam("item_id"),
    )
    .returning(ITEMS.c.branch_id, ITEMS.c.sequence_number)
)
_OF_BRANCH = ITEMS.c.branch_id == bindparam("branch")
_SHRINK = (
    update(BRANCHES)
    .where(BRANCHES.c.id == bindparam("branch"))
    .values(item_count=BRANCHES.c.item_count - 1, updated_at=func.clock_timestamp())
)
# A number is taken while its row has it, so rows reach their new ones by way of negative numbers.
_STEP_OUT = (
    update(ITEMS)
    .where(_OF_BRANCH, ITEMS.c.sequence_number > bindparam("number", type_=Integer))
    .values(sequence_number=1 - ITEMS.c.sequence_number)
)
_STEP_IN = (
    update(ITEMS)
    .where(_OF_BRANCH, ITEMS.c.sequence_number < 0)
    .values(sequence_number=-ITEMS.c.sequence_number)
)
_FORK_EARLIER = (
    update(BRANCHES)
    .where(
        BRANCHES.c.conversation_id == bindparam("conversation"),
        BRANCHES.c.forked_from_item_id == bindparam("item"),
    )
    .values(
        forked_from_item_id=select(ITEMS.c.public_id)
        .where(_OF_BRANCH, ITEMS.c.sequence_number == bindparam("number", type_=Integer) - 1)
        .scalar_subquery()
    )
)


async def remove_item(session: AsyncSession, conversation: Conversation, item_id: str) -> Conversation:
    """Remove an item from its branch for good; those behind it move up, and keep their ids.

    Copies of it in other branches stay. A branch that left this one behind the item leaves it
    behind the one before.

    Returns:
        The conversation as it is then.

    Raises:
        Invalid: The id has not the form of one.
        Missing: The conversation has no such item, or was deleted in the meantime.
    """
    conversation = await lock_conversation(session, conversation)
    item = await find_item(session, conversation, item_id)
    found = {"conversation_id": conversation.id, "item_id": item.public_id}
    branch, number = (await execute(session, _REMOVE, found)).one()
    place = {"branch": branch, "number": number}
    # The branch goes before its items: whoever changes it begins there.
    await execute(session, _SHRINK, {"branch": branch})
    await execute(session, _STEP_OUT, place)
    await execute(session, _STEP_IN, {"branch": branch})
    fork = {"conversation": conversation.id, "item": item.public_id}
    await execute(session, _FORK_EARLIER, place | fork)
    return await touch_conversation(session, conversation)
