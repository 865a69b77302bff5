"""Moving the users of an embedded issuer in tests: what the commands do, on a database of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from jan_server.database.engine import Database
from jan_server.identity.realm import RealmDirectory
from jan_server.identity.transfer import embedded_export, embedded_import
from jan_server.identity.transfer.decisions import Imported
from jan_server.identity.transfer.users_file import UsersFile
from tests.identity.server import IdentityServer

Result = TypeVar("Result")

ADMINISTRATOR = frozenset({"admin", "admin@jan.internal"})


def with_realms(server: IdentityServer, use: Callable[[RealmDirectory], Awaitable[Result]]) -> Result:
    """Give the realms of a running issuer to `use`, from beside its process."""

    async def run() -> Result:
        database = Database(server.database_url, pool_size=1)
        try:
            issuer = server.settings.infrastructure.auth.keycloak.issuer
            return await use(RealmDirectory(database, issuer=issuer, application_realm="jan"))
        finally:
            await database.dispose()

    return asyncio.run(run())


def export_embedded(server: IdentityServer, *, guests: bool = True) -> UsersFile:
    return with_realms(server, lambda realms: embedded_export.export_users(realms, "jan", guests=guests))


def import_embedded(server: IdentityServer, file: UsersFile, **options: Any) -> Imported:
    return with_realms(
        server,
        lambda realms: embedded_import.import_users(
            realms, "jan", file, administrator=ADMINISTRATOR, **options
        ),
    )
