"""Revocation of shares: what makes a public link stop working.

A share is revoked by its owner, by the next share of its conversation, and together with its
conversation. It knows no conversations, because their deletion needs it.

Source: contract/llm-api.md, section 15.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.tables.conversation import CONVERSATIONS
from jan_server.services.llm_api.tables.share import SHARES


async def revoke_share(session: AsyncSession, share_id: int) -> bool:
    """Revoke one share by the key of its row; says whether it still worked until now."""
    return await _revoke(session, SHARES.c.id == share_id) > 0


async def revoke_shares_of_conversation(session: AsyncSession, conversation_id: int) -> int:
    """Revoke what is shared of a conversation, by the key of its row; returns how many links that were."""
    return await _revoke(session, SHARES.c.conversation_id == conversation_id)


async def revoke_shares_of_deleted_conversations(session: AsyncSession, user_id: int) -> int:
    """Revoke what is shared of a user's deleted conversations; returns how many links that were.

    Call it behind the deletion, in a statement of its own: whoever shares a conversation holds
    its row, so the deletion waited for that share, and only a later statement sees it.
    """
    of_deleted = (
        (SHARES.c.user_id == user_id)
        & (SHARES.c.conversation_id == CONVERSATIONS.c.id)
        & CONVERSATIONS.c.deleted_at.is_not(None)
    )
    return await _revoke(session, of_deleted)


async def _revoke(session: AsyncSession, which: ColumnElement[bool]) -> int:
    statement = (
        update(SHARES)
        .where(which, SHARES.c.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp(), updated_at=func.clock_timestamp())
        .returning(SHARES.c.id)
    )
    return len((await execute(session, statement)).all())
