"""Guests who never return are removed with all they own; nobody else is."""

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import col, select, update

from jan_server.database.engine import Database
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.app import identity_address
from jan_server.services.llm_api.guests import remove_idle_guests
from jan_server.services.llm_api.identity_server import IdentityServer, IdentityUnavailable
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.tables.user import User
from tests.doubles.keycloak import refused
from tests.services.llm_api.conftest import bearer, settings_for

MONTH = timedelta(days=30)


@pytest.fixture
async def database(database_url):
    opened = Database(database_url)
    yield opened
    await opened.dispose()


def issuer_of(issuer_url):
    return settings_for(issuer_url).infrastructure.auth.keycloak.issuer


@pytest.fixture
async def remove(database, accounts, issuer_url):
    """Removes guests as the service does."""
    return lambda: remove_idle_guests(database, accounts, issuer=issuer_of(issuer_url), idle=MONTH)


async def make_guest(llm_api):
    return (await llm_api.post("/auth/guest-login")).json()


async def age(database, *subjects, days=31):
    async with database.session() as session:
        await session.exec(
            update(User)
            .where(col(User.subject).in_(subjects))
            .values(last_seen_at=now() - timedelta(days=days))
        )


async def subjects(database):
    async with database.session() as session:
        return set(await session.exec(select(User.subject)))


async def test_only_guests_who_were_away_too_long_are_removed(llm_api, database, accounts, remove, register):
    gone, here, upgraded = [await make_guest(llm_api) for _ in range(3)]
    person = await register("user")
    await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=person.headers)
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=bearer(gone["access_token"]))
    assert made.status_code == 201
    await llm_api.post(
        "/auth/upgrade", json={"email": "kept@example.org"}, headers=bearer(upgraded["access_token"])
    )
    await age(database, gone["user_id"], upgraded["user_id"], person.id)
    await age(database, here["user_id"], days=29)

    assert await remove() == 1
    assert await accounts.find(gone["user_id"]) is None
    known = await subjects(database)
    assert gone["user_id"] not in known
    assert {here["user_id"], upgraded["user_id"], person.id} <= known
    assert await accounts.find(here["user_id"]) and await accounts.find(upgraded["user_id"])
    async with database.session() as session:
        assert made.json()["id"] not in [str(key) for key in await session.exec(select(ApiKey.id))]
    assert await remove() == 0


async def test_a_guest_who_returns_is_seen(llm_api, database, remove, start, issuer_url):
    guest = await make_guest(llm_api)
    await age(database, guest["user_id"])
    another = await start(issuer_url)
    await another.get("/auth/api-keys", headers=bearer(guest["access_token"]))
    assert await remove() == 0


async def test_an_older_token_does_not_make_a_user_a_guest_again(llm_api, database, start, issuer_url):
    guest = await make_guest(llm_api)
    headers = bearer(guest["access_token"])
    await llm_api.post("/auth/upgrade", json={"email": "again@example.org"}, headers=headers)
    await (await start(issuer_url)).get("/auth/api-keys", headers=headers)
    async with database.session() as session:
        found = await session.exec(select(User.guest).where(User.subject == guest["user_id"]))
        assert found.one() is False


async def test_an_account_that_was_upgraded_elsewhere_is_kept(llm_api, database, accounts, remove):
    guest = await make_guest(llm_api)
    account = await accounts.find(guest["user_id"])
    await accounts.update(account, {"attributes": {"guest": ["false"]}})
    await age(database, guest["user_id"])
    assert await remove() == 0
    assert await accounts.find(guest["user_id"])
    assert guest["user_id"] in await subjects(database)


async def test_a_row_whose_account_is_gone_goes_too(llm_api, database, accounts, remove):
    guest = await make_guest(llm_api)
    await accounts.delete(guest["user_id"])
    await age(database, guest["user_id"])
    assert await remove() == 1
    assert guest["user_id"] not in await subjects(database)


async def test_processes_take_turns(llm_api, database, remove):
    guests = [await make_guest(llm_api) for _ in range(4)]
    await age(database, *(guest["user_id"] for guest in guests))
    counts = await asyncio.gather(*(remove() for _ in range(4)))
    assert sum(counts) == 4


@pytest.fixture
async def scripted(start, keycloak, database, client):
    accounts = Accounts(IdentityServer(client, identity_address(settings_for(keycloak.url))))
    llm_api = await start(keycloak.url)
    guests = [await make_guest(llm_api) for _ in range(3)]
    await age(database, *(guest["user_id"] for guest in guests))
    return guests, lambda: remove_idle_guests(database, accounts, issuer=issuer_of(keycloak.url), idle=MONTH)


async def test_while_the_identity_server_is_away_everybody_stays(scripted, keycloak, database):
    guests, remove = scripted
    keycloak.down = True
    with pytest.raises(IdentityUnavailable):
        await remove()
    assert {guest["user_id"] for guest in guests} <= await subjects(database)


async def test_a_guest_who_cannot_be_removed_does_not_hold_up_the_others(scripted, keycloak):
    guests, remove = scripted

    async def refuse(_):
        return refused(400, "unknown_error")

    keycloak.script("DELETE", f"/users/{guests[0]['user_id']}", refuse)
    assert await remove() == 2
    assert set(keycloak.users) == {guests[0]["user_id"]}
