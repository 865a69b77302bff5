"""Replacing the signing key of the embedded issuer while it runs: no request is refused meanwhile.

A new key is published first and signs a moment later, when everybody who verifies has seen it or will look
again. The key before it goes on verifying until no token that it signed is good any more.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from jan_server.identity.keys import key_id, private_pem, read_private_key, self_signed_certificate
from jan_server.identity.realm import RealmDirectory, touch
from jan_server.identity.tables import RealmKeyRow, now

SETTLE_SECONDS = 8.0
"""How long a new key is published before it signs.

Processes of the issuer look for changes every two seconds, and whoever meets an unknown key looks for it
unless it did so in the five seconds before.
"""

SPARE = timedelta(minutes=5)
"""For clocks that differ, and for tokens that a slow process still signed with the key before."""


@dataclass(slots=True)
class RetiredKeys:
    """What became of keys that sign no more.

    Attributes:
        dropped: Ids of those that were removed.
        needed: Ids of those that tokens may still need, with the time until when.
    """

    dropped: list[str] = field(default_factory=list)
    needed: dict[str, datetime] = field(default_factory=dict)


def longest_life(realm: Mapping[str, Any], clients: Iterable[Mapping[str, Any]]) -> timedelta:
    """How long a token that others verify is good at most, the spare included.

    Args:
        realm: The realm's settings, in Keycloak's words.
        clients: The settings of its clients.
    """
    lives = [
        int(realm.get(name) or 0) for name in ("accessTokenLifespan", "accessTokenLifespanForImplicitFlow")
    ]
    for client in clients:
        own = (client.get("attributes") or {}).get("access.token.lifespan")
        lives.append(int(own) if own and str(own).isdecimal() else 0)
    return timedelta(seconds=max(lives)) + SPARE


async def publish_key(realms: RealmDirectory, name: str, key: str) -> str:
    """Publish a key that does not sign yet.

    Args:
        realms: The realms of the issuer.
        name: The realm's name.
        key: The private key, as the setting holds it.

    Returns:
        The key's id.

    Raises:
        IdentityError: 404, there is no such realm.
    """
    realm = await realms.get(name)
    private = read_private_key(key)
    kid = key_id(private.public_key())
    row = RealmKeyRow(
        realm_id=realm.id,
        kid=kid,
        private_key=private_pem(private),
        certificate=base64.b64encode(self_signed_certificate(private, name)).decode(),
        status="PASSIVE",
        priority=200,
        provider_name="jan-signing-key",
        from_file=True,
    )
    async with realms.database.session() as session:
        await session.exec(insert(RealmKeyRow).values(**row.model_dump()).on_conflict_do_nothing())
        await touch(session, realm.id)
    realms.forget()
    return kid


async def sign_with(realms: RealmDirectory, name: str, kid: str) -> None:
    """Make a published key the one that signs; those before it go on verifying.

    Raises:
        IdentityError: 404, there is no such realm.
    """
    realm = await realms.get(name)
    of_realm = col(RealmKeyRow.realm_id) == realm.id
    async with realms.database.session() as session:
        await session.exec(
            update(RealmKeyRow)
            .where(of_realm, col(RealmKeyRow.kid) != kid, col(RealmKeyRow.status) == "ACTIVE")
            .values(status="PASSIVE", retired_at=now())
        )
        await session.exec(
            update(RealmKeyRow)
            .where(of_realm, col(RealmKeyRow.kid) == kid)
            .values(status="ACTIVE", retired_at=None)
        )
        await touch(session, realm.id)
    realms.forget()


async def drop_retired_keys(realms: RealmDirectory, name: str) -> RetiredKeys:
    """Remove keys that no living token can need any more.

    A key of which nobody knows when it stopped signing counts from now on.

    Raises:
        IdentityError: 404, there is no such realm.
    """
    realm = await realms.get(name)
    life = longest_life(
        {"accessTokenLifespan": realm.seconds("accessTokenLifespan"), **realm.settings},
        [client.settings for client in realm.clients.values()],
    )
    found = RetiredKeys()
    async with realms.database.session() as session:
        rows = await session.exec(
            select(RealmKeyRow)
            .where(col(RealmKeyRow.realm_id) == realm.id, col(RealmKeyRow.status) == "PASSIVE")
            .with_for_update()
        )
        for row in rows.all():
            row.retired_at = row.retired_at or now()
            if row.retired_at + life < now():
                found.dropped.append(row.kid)
                await session.delete(row)
            else:
                found.needed[row.kid] = row.retired_at + life
                session.add(row)
        await touch(session, realm.id)
    realms.forget()
    return found
