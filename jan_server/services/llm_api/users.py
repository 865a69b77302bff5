"""Who the callers are to the LLM API: one local row for each identity that ever used it.

Conversations, projects and keys hang on these rows. A row is made when its identity first
calls, and refreshed when its claims change; what was written lately is remembered, so that
the hot path does not touch the database (contract/llm-api.md, section 2.2).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import and_, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.authentication.principal import Principal
from jan_server.database.engine import Database
from jan_server.services.llm_api.tables.user import User

REFRESH_SECONDS = 300.0
"""How long a row counts as fresh: it bounds how old `last_seen_at` may be."""

REMEMBERED = 20_000
"""How many identities are remembered in a process."""


@dataclass(frozen=True, slots=True)
class CurrentUser:
    """The caller of a request.

    Attributes:
        id: The key of the local row, to which everything that the user owns refers.
        principal: Who was authenticated, and how.
    """

    id: int
    principal: Principal


async def ensure_user(session: AsyncSession, principal: Principal) -> int:
    """Make or refresh the row of `principal`; returns its key.

    Empty claims never clear what an earlier credential told: an API key knows no picture, a
    token does. A user who was upgraded stays upgraded, whatever an older token still says.
    """
    row = {
        "issuer": principal.issuer,
        "subject": principal.subject,
        "username": principal.username[:150],
        "email": principal.email[:320],
        "name": principal.name[:255],
        "picture": principal.picture if len(principal.picture) <= 512 else "",
        "guest": principal.guest,
    }
    statement = insert(User).values(**row)
    given = statement.excluded
    kept = {
        name: func.coalesce(func.nullif(given[name], ""), col(getattr(User, name)))
        for name in ("username", "email", "name", "picture")
    }
    statement = statement.on_conflict_do_update(
        index_elements=["issuer", "subject"],
        set_={
            **kept,
            "guest": and_(col(User.guest), given.guest),
            "last_seen_at": func.now(),
            "updated_at": func.now(),
            "deleted_at": None,
        },
    )
    return int((await session.exec(statement.returning(col(User.id)))).scalar_one())


class UserDirectory:
    """Resolves principals to their rows, and remembers what it wrote a short while ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[tuple[str, str, str], tuple[tuple[object, ...], float, int]] = OrderedDict()

    async def resolve(self, principal: Principal) -> CurrentUser:
        """The caller behind `principal`; writes only when its claims changed or its row grew stale."""
        key = (principal.issuer, principal.subject, principal.method)
        claims = (principal.username, principal.email, principal.name, principal.picture, principal.guest)
        known = self._known.get(key)
        now = time.monotonic()
        if known is not None and known[0] == claims and known[1] > now:
            return CurrentUser(known[2], principal)
        async with self._database.session() as session:
            user_id = await ensure_user(session, principal)
        self._known[key] = (claims, now + REFRESH_SECONDS, user_id)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return CurrentUser(user_id, principal)

    def forget(self, issuer: str, subject: str) -> None:
        """Drop what is remembered of one identity, after its row was changed or removed."""
        for method in ("jwt", "apikey"):
            self._known.pop((issuer, subject, method), None)
