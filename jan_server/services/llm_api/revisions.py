"""Revisions: what editing, regenerating and deleting an item make of a conversation.

All three start `MAIN` anew from the part before the item and make it active; what `MAIN` was
stays readable under a back-up name. Nothing is lost, and none of them calls a model.

Which ids go where differs. After a deletion the items that stay keep their ids, and the copies
in the back-up get new ones: the caller goes on reading the same line. After an edit or a
regeneration the ids stay with the version that they were made in, so that a caller can show
both versions, and the new `MAIN` has new ones.

Source: contract/llm-api.md, sections 12.4, 13 and 27.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.branches import (
    Branch,
    copy_items,
    find_branch,
    insert_branch,
    move_items,
    name_is_taken,
)
from jan_server.services.llm_api.conversations import MAIN, Conversation, activate, lock_conversation
from jan_server.services.llm_api.item_content import text_block
from jan_server.services.llm_api.items import Item, NewItem, append_items, find_item
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.tables.branch import BRANCHES
from jan_server.services.llm_api.tables.item import ITEMS


@dataclass(frozen=True, slots=True)
class Revision:
    """The outcome of a revision.

    Attributes:
        main: The new `MAIN`.
        old_main_backup: The name under which the former `MAIN` stays readable.
        item: The user item that the new `MAIN` ends with; None after a deletion.
    """

    main: Branch
    old_main_backup: str
    item: Item | None = None


async def edit_item(session: AsyncSession, conversation: Conversation, item_id: str, text: str) -> Revision:
    """Replace a user message by `text` and drop what came after it.

    Raises:
        Invalid: The id has not the form of one, or the item is no user message.
        Missing: The conversation has no such item.
    """
    conversation = await lock_conversation(session, conversation)
    item = await find_item(session, conversation, item_id)
    if item.role != "user" or item.type != "message":
        raise Invalid("only user messages can be edited", param="item_id")
    revision = await _start_main(session, conversation, item.branch, item.sequence_number - 1)
    message = NewItem(role="user", content=[text_block("input_text", text)])
    [edited] = await append_items(session, conversation, [message], branch=MAIN)
    return replace(revision, main=await find_branch(session, conversation, MAIN), item=edited)


async def question_of(session: AsyncSession, conversation: Conversation, item_id: str) -> Item:
    """The question that an answer answers, which is the item itself when it is a user item.

    Raises:
        Invalid: The id has not the form of one, or the item is neither a user's nor an assistant's.
        Missing: The conversation has no such item, or no user item stands before it.
    """
    item = await find_item(session, conversation, item_id)
    if item.role not in ("user", "assistant"):
        raise Invalid("only user and assistant items can be regenerated", param="item_id")
    if item.role == "user":
        return item
    branch = await find_branch(session, conversation, item.branch)
    question = await _last_user_item(session, branch, item.sequence_number)
    return await find_item(session, conversation, question)


async def regenerate_item(session: AsyncSession, conversation: Conversation, item_id: str) -> Revision:
    """Drop an answer, and what came after it, so that its question stands last again.

    Raises:
        Invalid, Missing: See `question_of`.
    """
    conversation = await lock_conversation(session, conversation)
    question = await question_of(session, conversation, item_id)
    number = question.sequence_number
    revision = await _start_main(session, conversation, question.branch, number)
    asked = await _item_at(session, revision.main, number)
    return replace(revision, item=replace(question, public_id=asked, branch=MAIN))


async def delete_item(session: AsyncSession, conversation: Conversation, item_id: str) -> Revision:
    """Drop an item and everything after it; the items before it keep their ids.

    Raises:
        Invalid: The id has not the form of one.
        Missing: The conversation has no such item.
    """
    conversation = await lock_conversation(session, conversation)
    item = await find_item(session, conversation, item_id)
    return await _start_main(session, conversation, item.branch, item.sequence_number - 1, keep_ids=True)


async def _start_main(
    session: AsyncSession,
    conversation: Conversation,
    source_name: str,
    count: int,
    *,
    keep_ids: bool = False,
) -> Revision:
    """A new active `MAIN` with the first `count` items of a branch, the former one under a back-up name."""
    former = await find_branch(session, conversation, MAIN)
    backup = await _backup_name(session, conversation)
    await execute(
        session,
        update(BRANCHES)
        .where(BRANCHES.c.id == former.id)
        .values(name=backup, updated_at=func.clock_timestamp()),
    )
    source = await find_branch(session, conversation, backup if source_name == MAIN else source_name)
    last = await _item_at(session, source, count) if count else None
    main = await insert_branch(session, conversation, MAIN, parent=source.name, item_id=last)
    transfer = move_items if keep_ids else copy_items
    main = await transfer(session, source, main, count)
    await activate(session, conversation, MAIN)
    return Revision(main, backup)


async def _backup_name(session: AsyncSession, conversation: Conversation) -> str:
    stamped = f"{MAIN}_{datetime.now(UTC):%Y%m%d%H%M%S}"
    name, further = stamped, 1
    while await name_is_taken(session, conversation, name):
        further += 1
        name = f"{stamped}_{further}"
    return name


async def _item_at(session: AsyncSession, branch: Branch, number: int) -> str:
    statement = select(ITEMS.c.public_id).where(
        ITEMS.c.branch_id == branch.id, ITEMS.c.sequence_number == number
    )
    return str((await execute(session, statement)).scalar_one())


async def _last_user_item(session: AsyncSession, branch: Branch, number: int) -> str:
    """The id of the last user item of a branch up to the item `number`."""
    statement = (
        select(ITEMS.c.public_id)
        .where(ITEMS.c.branch_id == branch.id, ITEMS.c.sequence_number <= number, ITEMS.c.role == "user")
        .order_by(ITEMS.c.sequence_number.desc())
        .limit(1)
    )
    found: str | None = (await execute(session, statement)).scalar_one_or_none()
    if found is None:
        raise Missing("no user item stands before this one", param="item_id")
    return found
