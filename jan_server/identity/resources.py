"""What the routes of identity work with: opened with the app and closed with it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from jan_server.database.engine import Database
from jan_server.http.client_address import Network
from jan_server.identity.login_attempts import AddressLimit
from jan_server.identity.passwords import PasswordHasher
from jan_server.identity.realm import Realm, RealmDirectory


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of one app.

    Attributes:
        database: Where everything is.
        realms: The realms.
        hasher: Hashes passwords off the loop.
        address_limit: How many failed log-ins one address may have.
        trusted_proxies: Whose word about a client's address is believed.
    """

    database: Database
    realms: RealmDirectory
    hasher: PasswordHasher
    address_limit: AddressLimit
    trusted_proxies: tuple[Network, ...]


def resources_of(connection: HTTPConnection) -> Resources:
    """The resources of the app that serves a request."""
    found: Resources = connection.app.state.resources
    return found


async def realm_of(connection: HTTPConnection) -> Realm:
    """The realm that a request's path names; IdentityError 404 when there is none."""
    return await resources_of(connection).realms.get(connection.path_params["realm"])
