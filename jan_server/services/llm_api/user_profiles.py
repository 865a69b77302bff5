"""The profile settings of users, as chats need them: at hand without asking the database each time.

They are remembered in the process once they were read; PostgreSQL tells every process whose
settings were changed.
Source: contract/llm-api.md, sections 7.6 and 16.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from typing import Any

from sqlalchemy import select

from jan_server.database.engine import Database
from jan_server.database.statements import execute
from jan_server.services.llm_api.notices import hearing
from jan_server.services.llm_api.tables.user_settings import USER_SETTINGS
from jan_server.services.llm_api.user_settings import ProfileSettings

CHANNEL = "llm_api_user_settings"
"""Where PostgreSQL tells the key of each user whose settings were changed."""

REMEMBERED = 20_000
"""How many users are remembered in a process."""

_MEMBERS = frozenset(member.name for member in fields(ProfileSettings))


class UserProfiles:
    """Finds the profiles of users, and hears of changes while it is open.

    Args:
        database: Where settings are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[int, ProfileSettings | None] = OrderedDict()
        self._changes = 0

    def open(self) -> AbstractAsyncContextManager[None]:
        """Forget what changes, while the context lasts."""
        return hearing(
            "user profiles", self._database.url, CHANNEL, begin=self._forget_all, changed=self._forget_told
        )

    async def find(self, user_id: int) -> ProfileSettings | None:
        """The user's profile, or None when the user chose nothing of it."""
        if user_id in self._known:
            return self._known[user_id]
        changes = self._changes
        statement = select(USER_SETTINGS.c.profile_settings).where(USER_SETTINGS.c.user_id == user_id)
        async with self._database.session() as session:
            profile = _profile((await execute(session, statement)).scalar_one_or_none() or {})
        # What changed while it was being read may be what was read: then it is not remembered.
        if changes == self._changes:
            self._known[user_id] = profile
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return profile

    def forget(self, user_id: int) -> None:
        """Read the user's profile anew next time: who changes it here need not wait for the notice."""
        self._changes += 1
        self._known.pop(user_id, None)

    async def _forget_all(self) -> None:
        self._changes += 1
        self._known.clear()

    async def _forget_told(self, user_ids: Collection[str]) -> None:
        for user_id in user_ids:
            self.forget(int(user_id))


def _profile(stored: Mapping[str, Any]) -> ProfileSettings | None:
    chosen = {name: value.strip() for name, value in stored.items() if name in _MEMBERS and value.strip()}
    return ProfileSettings(**chosen) if chosen else None
