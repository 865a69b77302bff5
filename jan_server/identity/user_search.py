"""Searching users, by the rules of Keycloak's admin API.

`search` looks at the beginning of user name, first name, last name and e-mail, word by word;
`*text*` looks anywhere, `"text"` at the whole value, and `id:…` is one user. The members
`username`, `email`, `firstName` and `lastName` are looked for anywhere, or as a whole with
`exact=true`. `q` asks for attributes (`guest:true plan:"gold"`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.errors import IdentityError
from jan_server.identity.realm import Realm
from jan_server.identity.tables import UserRow

DEFAULT_MAXIMUM = 100

_COLUMNS: Mapping[str, Any] = {
    "username": UserRow.username,
    "email": UserRow.email,
    "firstName": UserRow.first_name,
    "lastName": UserRow.last_name,
}
_ATTRIBUTE = re.compile(r'("[^"]+"|[^\s:"]+):("[^"]*"|\S+)')


async def find_users(session: AsyncSession, realm: Realm, query: Mapping[str, str]) -> Sequence[UserRow]:
    """The users that match, by name; service accounts are never among them.

    Raises:
        IdentityError: 400 for a page that is not a number.
    """
    first, maximum = page_of(query)
    statement = select(UserRow).where(*_conditions(realm, query)).order_by(col(UserRow.username))
    return (await session.exec(statement.offset(first).limit(maximum))).all()


async def count_users(session: AsyncSession, realm: Realm, query: Mapping[str, str]) -> int:
    """How many users match."""
    statement = select(func.count()).select_from(UserRow).where(*_conditions(realm, query))
    return (await session.exec(statement)).one()


def page_of(query: Mapping[str, str], default: int | None = DEFAULT_MAXIMUM) -> tuple[int, int | None]:
    """The members `first` and `max` of a query: rows to skip and rows to show (None for all).

    Raises:
        IdentityError: 400 that names the member which is not a number.
    """
    found = []
    for name, fallback in (("first", 0), ("max", default)):
        text = query.get(name, "")
        if text and not re.fullmatch(r"-?\d{1,9}", text):
            raise IdentityError(400, {"error": f"{name} must be a whole number"})
        found.append(int(text) if text else fallback)
    first, maximum = found
    return max(first or 0, 0), None if maximum is None or maximum < 0 else maximum


def _conditions(realm: Realm, query: Mapping[str, str]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        col(UserRow.realm_id) == realm.id,
        col(UserRow.service_account_of).is_(None),
    ]
    for name, column in (("enabled", UserRow.enabled), ("emailVerified", UserRow.email_verified)):
        if name in query:
            found.append(col(column).is_(query[name].lower() == "true"))
    exact = query.get("exact", "").lower() == "true"
    for name, column in _COLUMNS.items():
        if text := query.get(name, "").strip():
            found.append(_whole(column, text) if exact else _anywhere(column, text))
    search = query.get("search", "").strip()
    if search.startswith("id:"):
        found.append(col(UserRow.id) == search.removeprefix("id:").strip())
    elif search:
        found += [_word(word, exact=exact) for word in re.findall(r'"[^"]*"|\S+', search)]
    for name, value in _ATTRIBUTE.findall(query.get("q", "")):
        found.append(col(UserRow.attributes).contains({name.strip('"'): [value.strip('"')]}))
    return found


def _word(word: str, *, exact: bool) -> ColumnElement[bool]:
    quoted = len(word) > 1 and word.startswith('"') and word.endswith('"')
    text = word.strip('"') if quoted else word
    if quoted or exact:
        return or_(*(_whole(column, text) for column in _COLUMNS.values()))
    pattern = _escaped(text.strip("*"))
    pattern = f"%{pattern}%" if text.startswith("*") else f"{pattern}%"
    return or_(*(col(column).ilike(pattern, escape="\\") for column in _COLUMNS.values()))


def _whole(column: Any, text: str) -> ColumnElement[bool]:
    return func.lower(col(column)) == text.lower()


def _anywhere(column: Any, text: str) -> ColumnElement[bool]:
    return col(column).icontains(text, autoescape=True)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
