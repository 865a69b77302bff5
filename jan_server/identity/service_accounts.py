"""Service accounts: the users in whose names clients act for themselves."""

from __future__ import annotations

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.clients import Client
from jan_server.identity.realm import Realm
from jan_server.identity.tables import UserRow


async def service_account(session: AsyncSession, client: Client) -> UserRow | None:
    """The account of a client, or None."""
    return (await session.exec(select(UserRow).where(col(UserRow.service_account_of) == client.id))).first()


async def create_service_account(session: AsyncSession, realm: Realm, client: Client) -> UserRow:
    """Give a client an account; it has no rights until somebody gives it roles."""
    row = UserRow(
        realm_id=realm.id,
        username=f"service-account-{client.client_id.lower()}",
        enabled=True,
        service_account_of=client.id,
    )
    session.add(row)
    await session.flush()
    return row


async def keep_service_account(session: AsyncSession, realm: Realm, client: Client) -> None:
    """Make or remove the account of a client, as its settings say."""
    if client.service_account and await service_account(session, client) is None:
        await create_service_account(session, realm, client)
    elif not client.service_account:
        await session.exec(delete(UserRow).where(col(UserRow.service_account_of) == client.id))
