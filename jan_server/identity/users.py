"""Users: made, changed, shown and removed.

In a realm whose users are named by their e-mail addresses, the name follows the address, and
a name that a caller sends is not taken over (contract/identity.md, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.attributes import read_attributes
from jan_server.identity.errors import IdentityError, bad_request, conflict, not_found
from jan_server.identity.groups import join_default_groups, join_group
from jan_server.identity.realm import Realm
from jan_server.identity.roles import give_roles
from jan_server.identity.sessions import end_sessions_of
from jan_server.identity.tables import GroupRow, UserRow, new_id

MAX_TEXT = 255
UPDATE_PASSWORD = "UPDATE_PASSWORD"  # noqa: S105 - the name of an action

_EMAIL = re.compile(
    r"[^\s@\x00-\x1f\"(),:;<>\[\\\]]{1,64}@[a-z0-9]([a-z0-9-]{0,62})?(\.[a-z0-9]([a-z0-9-]{0,62})?)*\Z"
)
# What Keycloak refuses in names, because pages and mails show them.
_UNFIT_NAME = re.compile(r"[<>&\"$%!#?§;*~/\\|^=\[\]{}()\x00-\x1f\x7f]")
_UNFIT_USERNAME = re.compile(r"[<>&\"\s$%!#?§;*~/\\|^=\[\]{}()\x00-\x1f\x7f]")


def is_email(text: str) -> bool:
    """Whether a text, in lower case, has the form of an e-mail address."""
    return len(text) <= MAX_TEXT and ".." not in text and _EMAIL.match(text) is not None


def username_for(realm: Realm, username: str, email: str | None) -> str:
    """The name of a user: the e-mail where the realm says so, else the name that was chosen."""
    return email if realm.email_is_username and email else username


async def get_user(session: AsyncSession, realm: Realm, user_id: str, *, lock: bool = False) -> UserRow:
    """A user by its id.

    Args:
        session: The transaction.
        realm: Its realm.
        user_id: Its id.
        lock: Whether it is read anew and held until the transaction ends, so that changes take turns.

    Raises:
        IdentityError: 404.
    """
    row = await session.get(UserRow, user_id, with_for_update=lock or None, populate_existing=lock)
    if row is None or row.realm_id != realm.id:
        raise not_found("User not found")
    return row


async def find_by_login(session: AsyncSession, realm: Realm, login: str) -> UserRow | None:
    """The user that a person means who types a user name or an e-mail address."""
    name = login.strip().lower()
    matches = col(UserRow.username) == name
    if realm.flag("loginWithEmailAllowed"):
        matches = or_(matches, col(UserRow.email) == name)
    rows = (
        await session.exec(
            select(UserRow).where(
                col(UserRow.realm_id) == realm.id, matches, col(UserRow.service_account_of).is_(None)
            )
        )
    ).all()
    # One person's name may be another's address: the name wins.
    return min(rows, key=lambda row: row.username != name, default=None)


def read_user(realm: Realm, body: Mapping[str, Any], *, from_file: bool = False) -> UserRow:
    """A user as its representation describes it, not stored yet.

    Args:
        realm: Its realm.
        body: As for `create_user`.
        from_file: Whether name and id are taken as they are, as in Keycloak's imports.

    Raises:
        IdentityError: 400 that names the member at fault.
    """
    email = _email(body.get("email"))
    username = str(body.get("username") or "").strip().lower()
    if realm.email_is_username and not from_file:
        if not username and not email:
            raise bad_request("User name is missing")
        if not email:
            raise _required("email")
        username = email
    if not username:
        raise bad_request("User name is missing")
    if len(username) > MAX_TEXT or _UNFIT_USERNAME.search(username):
        raise bad_request(
            "error-username-invalid-character", field="username", params=["username", username[:64]]
        )
    return UserRow(
        id=str(body["id"]) if from_file and body.get("id") else new_id(),
        realm_id=realm.id,
        username=username,
        email=email,
        email_verified=_flag(body, "emailVerified"),
        enabled=_flag(body, "enabled"),
        attributes=read_attributes(body.get("attributes")),
        required_actions=_actions(body.get("requiredActions")),
        first_name=_name(body, "firstName"),
        last_name=_name(body, "lastName"),
    )


async def create_user(
    session: AsyncSession,
    realm: Realm,
    body: Mapping[str, Any],
    *,
    groups: Sequence[GroupRow] = (),
    from_file: bool = False,
) -> UserRow:
    """Make a user from its representation, in the default groups and with the default role.

    Args:
        session: The transaction.
        realm: Its realm.
        body: `username`, `email`, `enabled`, `firstName`, `lastName`, `emailVerified`, `attributes`,
            `requiredActions`; credentials are set by the caller.
        groups: Groups that it joins besides.
        from_file: Whether the name is taken as it is, as in Keycloak's imports.

    Raises:
        IdentityError: 400 that names the member at fault; 409 when the name or the address is taken.
    """
    row = read_user(realm, body, from_file=from_file)
    await _refuse_duplicates(session, realm, row)
    session.add(row)
    await _flush(session)
    await join_default_groups(session, realm, row.id)
    await give_roles(session, row.id, [realm.roles.of_realm[realm.default_role]])
    for group in groups:
        await join_group(session, row.id, group.id)
    return row


async def update_user(session: AsyncSession, realm: Realm, row: UserRow, body: Mapping[str, Any]) -> None:
    """Change a user: members that are left out stay; `attributes`, when given, replaces the whole map.

    A user that is disabled loses its sessions.

    Raises:
        IdentityError: 400 that names the member at fault; 409 when the address is taken.
    """
    if "email" in body:
        email = _email(body["email"])
        if email is None and realm.email_is_username and row.service_account_of is None:
            raise _required("email")
        if email != row.email:
            row.email = email
            if row.service_account_of is None:
                row.username = username_for(realm, row.username, email)
            await _refuse_duplicates(session, realm, row)
    if body.get("emailVerified") is not None:
        row.email_verified = _flag(body, "emailVerified")
    if "firstName" in body:
        row.first_name = _name(body, "firstName")
    if "lastName" in body:
        row.last_name = _name(body, "lastName")
    if body.get("attributes") is not None:
        row.attributes = read_attributes(body["attributes"])
    if body.get("requiredActions") is not None:
        row.required_actions = _actions(body["requiredActions"])
    if body.get("enabled") is not None:
        row.enabled = _flag(body, "enabled")
        if not row.enabled:
            await end_sessions_of(session, row.id)
    session.add(row)
    await _flush(session)


def gives_power(row: UserRow, body: Mapping[str, Any]) -> bool:
    """Whether a change decides who can log in as a user: its password, address, state or duties."""
    if body.get("credentials"):
        return True
    if "email" in body and _email(body["email"]) != row.email:
        return True
    if body.get("enabled") is not None and _flag(body, "enabled") != row.enabled:
        return True
    actions = body.get("requiredActions")
    return actions is not None and _actions(actions) != row.required_actions


async def delete_user(session: AsyncSession, row: UserRow) -> None:
    """Remove a user with its sessions, refresh tokens and memberships."""
    await session.exec(delete(UserRow).where(col(UserRow.id) == row.id))


def representation(
    row: UserRow, *, brief: bool = False, access: Mapping[str, bool] | None = None
) -> dict[str, Any]:
    """A user as the admin API shows it.

    Args:
        row: The user.
        brief: Whether attributes and required actions are left out.
        access: What the caller may do with it, in Keycloak's words.
    """
    found: dict[str, Any] = {"id": row.id, "username": row.username}
    texts = {"firstName": row.first_name, "lastName": row.last_name, "email": row.email}
    found |= {member: text for member, text in texts.items() if text is not None}
    found["emailVerified"] = row.email_verified
    if row.attributes and not brief:
        found["attributes"] = row.attributes
    found["enabled"] = row.enabled
    found["createdTimestamp"] = int(row.created_at.timestamp() * 1000)
    if not brief:
        found["totp"] = False
        found["disableableCredentialTypes"] = []
        found["requiredActions"] = row.required_actions
        found["notBefore"] = row.not_before
    if access is not None:
        found["access"] = dict(access)
    return found


async def _refuse_duplicates(session: AsyncSession, realm: Realm, row: UserRow) -> None:
    with session.no_autoflush:
        taken = (
            await session.exec(
                select(col(UserRow.username), col(UserRow.email)).where(
                    col(UserRow.realm_id) == realm.id,
                    col(UserRow.id) != row.id,
                    or_(
                        col(UserRow.username).in_([row.username, row.email]),
                        col(UserRow.email).in_([row.username, row.email]),
                    ),
                )
            )
        ).all()
    if row.email is not None and any(email == row.email for _, email in taken):
        raise conflict("User exists with same email")
    if any(row.username in (username, email) for username, email in taken):
        raise conflict("User exists with same username")
    if taken:
        raise conflict("User exists with same email")


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as failure:  # another request was faster than the check above
        raise conflict("User exists with same username or email") from failure


def _required(member: str) -> IdentityError:
    return bad_request("error-user-attribute-required", field=member, params=[member])


def _email(value: Any) -> str | None:
    if value is None or value == "":
        return None
    email = str(value).strip().lower()
    if not isinstance(value, str) or not is_email(email):
        raise bad_request("error-invalid-email", field="email", params=["email", str(value)[:MAX_TEXT]])
    return email


def _name(body: Mapping[str, Any], member: str) -> str | None:
    value = body.get(member)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise bad_request("error-invalid-length-too-long", field=member, params=[member, MAX_TEXT])
    if _UNFIT_NAME.search(value):
        raise bad_request("error-person-name-invalid-character", field=member, params=[member, value])
    return value


def _flag(body: Mapping[str, Any], member: str) -> bool:
    value = body.get(member)
    if value is not None and not isinstance(value, bool):
        raise bad_request(f"{member} must be true or false", field=member)
    return bool(value)


def _actions(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(action, str) for action in value):
        raise bad_request("requiredActions must be a list of texts", field="requiredActions")
    return list(dict.fromkeys(value))
