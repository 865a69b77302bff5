"""The audit log: every write of an administrator, whoever's route it is, and what came of it.

Source: contract/llm-api.md, sections 17 and 24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.tables.audit_log import AuditLog

MASK = "********"
DEEPEST = 100

_SECRET_NAMES = frozenset(
    {
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "credentials",
        "passphrase",
        "password",
        "private_key",
        "secret",
        "token",
    }
)
_USER_INFO = re.compile(r"(?<=://)[^/?#\s\"]*@")
_SECRET_ENDINGS = ("_api_key", "_password", "_secret", "_token")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list shows; everything that is given has to hold.

    Attributes:
        equal: Wanted values of columns, by name.
        failed: Only what failed, or only what succeeded.
        since: Nothing earlier than this.
        until: Nothing later than this, nor at this moment.
    """

    equal: Mapping[str, str]
    failed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for a query."""
        found: list[ColumnElement[bool]] = [
            col(getattr(AuditLog, name)) == value for name, value in self.equal.items()
        ]
        if self.failed is not None:
            found.append(col(AuditLog.status_code) >= 400 if self.failed else col(AuditLog.status_code) < 400)
        if self.since is not None:
            found.append(col(AuditLog.created_at) >= self.since)
        if self.until is not None:
            found.append(col(AuditLog.created_at) < self.until)
        return found


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of the log, whether it goes on behind it, and how many entries fit in all."""

    entries: list[AuditLog]
    has_more: bool
    total: int


async def list_entries(session: AsyncSession, page: PageRequest, wanted: AuditFilter) -> AuditPage:
    """A page of the log by time.

    Raises:
        Invalid: `page.after` is not the id of an entry.
    """
    conditions = wanted.conditions()
    total = (await session.exec(select(func.count()).select_from(AuditLog).where(*conditions))).one()
    query = select(AuditLog).where(*conditions)
    place = (col(AuditLog.created_at), col(AuditLog.id))
    if page.offset is not None:
        query = query.offset(page.offset)
    elif page.after is not None:
        bound = tuple_(*(await _place_of(session, page.after)))
        query = query.where(tuple_(*place) < bound if page.order == "desc" else tuple_(*place) > bound)
    order = [column.desc() if page.order == "desc" else column.asc() for column in place]
    rows = list(await session.exec(query.order_by(*order).limit(page.limit + 1)))
    return AuditPage(rows[: page.limit], len(rows) > page.limit, total)


async def _place_of(session: AsyncSession, after: str) -> tuple[datetime, UUID]:
    try:
        entry = await session.get(AuditLog, UUID(after))
    except ValueError:
        entry = None
    if entry is None:
        raise Invalid("after must be the id of an entry", param="after")
    return entry.created_at, entry.id


def masked(value: Any, depth: int = 0) -> Any:
    """Plain data without what nobody may read later, and without what is nested too deep to be written.

    Args:
        value: Objects, lists, texts, numbers; members that hold secrets lose their values, and
            addresses the user and password in them.
        depth: How deep `value` lies.
    """
    if depth > DEEPEST:
        return f"omitted: nested deeper than {DEEPEST} levels"
    if isinstance(value, list):
        return [masked(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        return {
            name: MASK if _is_secret(name) and entry else masked(entry, depth + 1)
            for name, entry in value.items()
        }
    return without_user_info(value) if isinstance(value, str) else value


def without_user_info(text: str) -> str:
    """A text whose addresses name no user and password: `https://********@host/`."""
    return _USER_INFO.sub(f"{MASK}@", text) if "://" in text else text


def _is_secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)
