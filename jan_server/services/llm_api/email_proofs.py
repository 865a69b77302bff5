"""Proof of an e-mail address: a link that only whoever reads its mail can follow.

The link is good once and for a bounded time. The database keeps the hash of its token, and the identity
server alone says whether an address is proved, so that the embedded issuer and Keycloak are treated alike.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Literal
from urllib.parse import urlencode

from sqlalchemy import delete, func
from sqlmodel import col, select

from jan_server.database.engine import Database
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.mail import Mailer
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.email_proof import EmailProof

TOKEN_BYTES = 32
PAUSE = timedelta(minutes=1)
"""An account gets another mail only after this time: nobody's mailbox can be flooded."""

MOST_LINKS = 5
"""How many links of one account may be out at the same time."""

INVALID_LINK = "invalid_link"
SUBJECT = "Confirm your e-mail address"
TEXT = """\
Hello,

somebody, most likely you, registered at Jan with this address. Open this page to confirm it:

{link}

It works once, within {hours:g} hours. If it was not you, do nothing: nobody will take the address
for yours.
"""

Outcome = Literal["sent", "pending", "failed"]


async def send_proof(
    database: Database,
    mailer: Mailer,
    *,
    issuer: str,
    subject: str,
    email: str,
    page: str,
    lifetime: timedelta,
) -> Outcome:
    """Send a link that proves an address.

    Args:
        database: Where the link is kept.
        mailer: What carries it.
        issuer: The realm of the account.
        subject: The account.
        email: Its address.
        page: Where the link leads, without its token.
        lifetime: How long it works.

    Returns:
        `sent`; `pending`, when a link was sent a moment ago or many are out; `failed`, when the mail server
        does not take it.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    whose = (col(EmailProof.issuer) == issuer, col(EmailProof.subject) == subject)
    async with database.session() as session:
        await session.exec(delete(EmailProof).where(col(EmailProof.expires_at) < now()))
        await session.exec(delete(EmailProof).where(*whose, col(EmailProof.email) != email))
        found = await session.exec(
            select(func.count(), func.max(col(EmailProof.created_at))).select_from(EmailProof).where(*whose)
        )
        count, latest = found.one()
        if count >= MOST_LINKS or (latest is not None and latest > now() - PAUSE):
            return "pending"
        session.add(
            EmailProof(
                token_hash=_hash(token),
                issuer=issuer,
                subject=subject,
                email=email,
                expires_at=now() + lifetime,
            )
        )
    link = f"{page}?{urlencode({'token': token})}"
    if await mailer.send(email, SUBJECT, TEXT.format(link=link, hours=lifetime / timedelta(hours=1))):
        return "sent"
    async with database.session() as session:
        await session.exec(delete(EmailProof).where(col(EmailProof.token_hash) == _hash(token)))
    return "failed"


async def prove_email(database: Database, accounts: Accounts, token: str) -> str:
    """Take a link's token: its account's address is proved from now on.

    Returns:
        The address.

    Raises:
        Invalid: The link is unknown, used or too old, or the account has another address by now.
        IdentityRefused: The identity server refuses the change; the link stays good.
        IdentityUnavailable: It does not answer; the link stays good.
    """
    async with database.session() as session:
        taken = await session.exec(
            delete(EmailProof)
            .where(col(EmailProof.token_hash) == _hash(token), col(EmailProof.expires_at) > now())
            .returning(col(EmailProof.issuer), col(EmailProof.subject), col(EmailProof.email))
        )
        row = taken.one_or_none()
        if row is None:
            raise Invalid(
                "this link is unknown, was used, or is too old; upgrade once more with the same address "
                "to get another one",
                param="token",
                code=INVALID_LINK,
            )
        issuer, subject, email = row
        account = await accounts.find(subject)
        if account is None or account.email.lower() != email.lower():
            raise Invalid("the account has another address by now", param="token", code=INVALID_LINK)
        await accounts.update(account, {"emailVerified": True})
        await session.exec(
            delete(EmailProof).where(col(EmailProof.issuer) == issuer, col(EmailProof.subject) == subject)
        )
    return str(email)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
