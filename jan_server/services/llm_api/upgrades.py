"""A guest becomes a registered user and keeps everything it made.

Source: contract/identity.md, section 6. Only guests are upgraded: the account of anybody
else would otherwise change its e-mail address without a proof. The address counts as
unverified until its owner proves it (see `email_proofs`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import update
from sqlmodel import col

from jan_server.database.engine import Database
from jan_server.services.llm_api.accounts import Account, Accounts
from jan_server.services.llm_api.guests import UPGRADED_ATTRIBUTES
from jan_server.services.llm_api.identity_server import IdentityRefused
from jan_server.services.llm_api.refusals import Conflict, Missing
from jan_server.services.llm_api.tables.user import User

# One @, no spaces, a dot in the domain; whether the mailbox exists only a message can tell.
_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a guest tells about itself.

    Attributes:
        email: Its address, which becomes its log-in name.
        full_name: Shown as its name; may be empty.
        password: Its own password; None leaves the random one, so that only its refresh
            token lets it in again.
    """

    email: str
    full_name: str = ""
    password: str | None = None


def is_address(text: str) -> bool:
    """Whether `text` has the form of an e-mail address."""
    return bool(_ADDRESS.fullmatch(text)) and "." in text.rpartition("@")[2] and ".." not in text


async def upgrade_guest(
    database: Database, accounts: Accounts, *, subject: str, issuer: str, upgrade: Upgrade, guest_role: str
) -> bool:
    """Turn a guest into a registered user; repeating the same upgrade changes nothing.

    Returns:
        Whether the address was proved before.

    Raises:
        Conflict: The account is a registered user's already, or another one has the address.
        Missing: There is no such account any more.
        IdentityRefused: The identity server refuses the change.
        IdentityUnavailable: It does not answer.
    """
    account = await accounts.find(subject)
    if account is None:
        raise Missing("this account does not exist any more")
    if account.guest:
        await _change_account(accounts, account, upgrade)
    elif account.email.lower() != upgrade.email.lower():
        raise Conflict("this account is registered already; only guests can be upgraded")
    await accounts.remove_role(subject, guest_role)
    async with database.session() as session:
        await session.exec(
            update(User)
            .where(col(User.issuer) == issuer, col(User.subject) == subject)
            .values(guest=False, email=upgrade.email)
        )
    return not account.guest and account.representation.get("emailVerified") is True


async def _change_account(accounts: Accounts, account: Account, upgrade: Upgrade) -> None:
    # The password first: an account whose guest mark is gone is not let through here again.
    if upgrade.password is not None:
        await accounts.set_password(account.id, upgrade.password)
    attributes = {**(account.representation.get("attributes") or {}), **UPGRADED_ATTRIBUTES}
    changes = {"email": upgrade.email, "emailVerified": False, "attributes": attributes}
    if upgrade.full_name:
        changes["firstName"] = upgrade.full_name
    try:
        await accounts.update(account, changes)
    except IdentityRefused as refusal:
        if refusal.status == 409:
            raise Conflict("another account has this e-mail address", param="email") from refusal
        raise
