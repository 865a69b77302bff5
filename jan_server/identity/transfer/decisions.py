"""What an import does with each user of a file: add it, put it in the place of accounts, or leave it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jan_server.identity.transfer.users_file import Representation

OnConflict = Literal["skip", "overwrite", "fail"]
"""What becomes of a user whose id, name or address is taken."""


class UsersConflictError(RuntimeError):
    """Users of the file are there already, and the import was to fail then; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account that is there before an import.

    Attributes:
        id: Its id.
        username: Its name.
        email: Its address; empty without one.
        created: When it was made, in milliseconds since 1970.
    """

    id: str
    username: str
    email: str
    created: int


@dataclass(frozen=True, slots=True)
class Left:
    """A user of the file that was not imported.

    Attributes:
        username: Its name.
        reason: Why, in words for people.
    """

    username: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A user of the file that takes the place of accounts.

    Attributes:
        user: The user.
        accounts: What makes room for it.
    """

    user: Representation
    accounts: Sequence[Account]


@dataclass(slots=True)
class Decisions:
    """What is to be done.

    Attributes:
        add: Users to add.
        replace: Users that take the place of accounts.
        skipped: Users that stay as they are there.
    """

    add: list[Representation] = field(default_factory=list)
    replace: list[Replacement] = field(default_factory=list)
    skipped: list[Left] = field(default_factory=list)


@dataclass(slots=True)
class Imported:
    """What an import did, or would do.

    Attributes:
        added: How many users were added.
        overwritten: How many took the place of an account.
        skipped: Users that were there already.
        refused: Users that cannot be there as the file has them.
        notes: What else people should know.
    """

    added: int = 0
    overwritten: int = 0
    skipped: list[Left] = field(default_factory=list)
    refused: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "added": self.added,
            "overwritten": self.overwritten,
            "skipped": [{"username": left.username, "reason": left.reason} for left in self.skipped],
            "refused": [{"username": left.username, "reason": left.reason} for left in self.refused],
            "notes": self.notes,
        }


def decide(
    users: Sequence[Representation],
    present: Iterable[Account],
    on_conflict: OnConflict,
    *,
    administrator: frozenset[str] = frozenset(),
) -> Decisions:
    """Decide about every user of a file.

    An account of the application administrator is made by both issuers, so it is on both sides with another
    id: the older one has the history, and stays or takes the place of the younger.

    Args:
        users: The users of the file.
        present: The accounts that are there.
        on_conflict: What becomes of users that are there.
        administrator: Name and address of the application administrator.

    Raises:
        UsersConflictError: Users are there and `on_conflict` is `fail`.
    """
    accounts = list(present)
    by_id = {account.id: account for account in accounts}
    by_name: dict[str, Account] = {}
    for account in accounts:
        by_name |= {name: account for name in (account.username, account.email) if name}
    found = Decisions()
    taken: set[str] = set()
    for user in users:
        username, names = str(user["username"]).lower(), names_of(user)
        if taken & {str(user["id"]), *names}:
            found.skipped.append(Left(username, "stands in the file twice"))
            continue
        taken |= {str(user["id"]), *names}
        same = by_id.get(str(user["id"]))
        others = {by_name[name].id: by_name[name] for name in sorted(names) if name in by_name}
        clashing = [*([same] if same else []), *(one for one in others.values() if one is not same)]
        if not clashing:
            found.add.append(user)
        elif on_conflict == "overwrite" or (
            same is None and names & administrator and _is_older(user, clashing)
        ):
            found.replace.append(Replacement(user, clashing))
        elif same is not None and len(clashing) == 1:
            found.skipped.append(Left(username, "is there already"))
        else:
            other = next(account for account in clashing if account is not same)
            found.skipped.append(Left(username, f"its name or address belongs to the account {other.id}"))
    if on_conflict == "fail" and found.skipped:
        first = found.skipped[0]
        raise UsersConflictError(
            f"{len(found.skipped)} of {len(users)} users are in conflict: {first.username} {first.reason}"
        )
    return found


def names_of(user: Representation) -> set[str]:
    """What a user can be called by: name and address, in lower case."""
    return {str(user[member]).lower() for member in ("username", "email") if user.get(member)}


def _is_older(user: Representation, accounts: Sequence[Account]) -> bool:
    return int(user.get("createdTimestamp") or 0) < min(account.created for account in accounts)


def more_credentials(users: Iterable[Representation]) -> int:
    """How many credentials of users are no passwords."""
    return sum(
        not isinstance(one, Mapping) or one.get("type", "password") != "password"
        for user in users
        for one in user.get("credentials") or ()
    )
