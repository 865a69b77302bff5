"""Who calls the admin API, and what the caller may do.

Administrators of the master realm may do everything. In its own realm, a user or a client's
service account may do what its roles of the client `realm-management` say, which are looked
up at each call, so that a right that was taken is gone at once.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from jan_server.identity import json_members
from jan_server.identity.access_tokens import verify_access_token
from jan_server.identity.builtin import ADMIN, MANAGEMENT_ROLES, REALM_MANAGEMENT
from jan_server.identity.client_authentication import bearer_of
from jan_server.identity.errors import IdentityError, forbidden, not_found, unauthorized
from jan_server.identity.groups import GroupTree, roles_of_group
from jan_server.identity.realm import MASTER, Realm, touch
from jan_server.identity.resources import resources_of
from jan_server.identity.roles import Role
from jan_server.identity.subject import load_subject
from jan_server.identity.tables import GroupRow, UserRow

VIEW_USERS = ("view-users", "manage-users")
MANAGE_USERS = ("manage-users",)
VIEW_GROUPS = ("view-users", "manage-users", "query-groups")
VIEW_ROLES = ("view-realm", "manage-realm")
LIST_ROLES = ("view-realm", "manage-realm", "view-users", "manage-users", "query-users")
MANAGE_ROLES = ("manage-realm",)
VIEW_CLIENTS = ("view-clients", "manage-clients")
MANAGE_CLIENTS = ("manage-clients",)
VIEW_REALM = ("view-realm", "manage-realm")
MANAGE_REALM = ("manage-realm",)


@dataclass(slots=True)
class Call:
    """A call of the admin API whose caller is known.

    Attributes:
        session: Its transaction.
        realm: The realm that it works on.
        rights: Names of the caller's management roles.
        touched: Whether it changed the realm itself, and not only its users and groups.
    """

    session: AsyncSession
    realm: Realm
    rights: frozenset[str]
    touched: bool = False

    def has(self, rights: Iterable[str]) -> bool:
        """Whether the caller has one of these rights."""
        return not self.rights.isdisjoint(rights)

    def require_role(self, role: Role) -> None:
        """Refuse (403) to hand on a role that brings management rights which the caller lacks."""
        management = self.realm.clients[REALM_MANAGEMENT].id
        for brought in self.realm.roles.expand([role.id]):
            is_master_right = self.realm.name == MASTER and brought.client is None and brought.name == ADMIN
            if (brought.client == management and brought.name not in self.rights) or (
                is_master_right and "realm-admin" not in self.rights
            ):
                raise forbidden()

    async def require_group(self, tree: GroupTree, row: GroupRow) -> None:
        """Refuse (403) to put anybody into a group whose roles bring rights which the caller lacks."""
        for role in await roles_of_group(self.session, self.realm, tree, row):
            self.require_role(role)

    async def require_power_over(self, user: UserRow) -> None:
        """Refuse (403) power over a user that has management rights which the caller lacks.

        Whoever decides how somebody logs in, could log in as that user and use its rights.
        """
        for role in (await load_subject(self.session, self.realm, user)).roles:
            self.require_role(role)

    async def touch(self) -> None:
        """Say that the realm's own settings change with this call."""
        await touch(self.session, self.realm.id)
        self.touched = True

    async def release(self) -> None:
        """Commit so far and give the connection back, before work that takes its time (hashing)."""
        await self.session.commit()


@asynccontextmanager
async def admin_call(request: Request, rights: Iterable[str]) -> AsyncIterator[Call]:
    """Let a caller in that has one of `rights`; the transaction ends with the block.

    Raises:
        IdentityError: 401 without a good token, 403 without the right, 404 for an unknown realm.
    """
    resources = resources_of(request)
    token = bearer_of(request)
    issuing = issuing_realm(token)
    if not token or not issuing:
        raise unauthorized()
    realm = await _realm(request, request.path_params["realm"])
    async with resources.database.session() as session:
        found = await _rights(session, request, realm, issuing, token)
        call = Call(session, realm, found)
        if not call.has(rights):
            raise forbidden()
        yield call
    if call.touched:
        resources.realms.forget()


async def _realm(request: Request, name: str) -> Realm:
    try:
        return await resources_of(request).realms.get(name)
    except IdentityError as failure:
        raise not_found("Realm not found.") from failure


async def _rights(
    session: AsyncSession, request: Request, realm: Realm, issuing: str, token: str
) -> frozenset[str]:
    try:
        issuer = realm if realm.name == issuing else await resources_of(request).realms.get(issuing)
    except IdentityError as failure:
        raise unauthorized() from failure
    verified = await verify_access_token(session, issuer, token)
    client = issuer.clients.get(str(verified.claims.get("azp"))) if verified else None
    if verified is None or client is None or not client.enabled:
        raise unauthorized()
    if not client.full_scope:
        return frozenset()
    subject = await load_subject(session, issuer, verified.user)
    if issuer.name == MASTER and any(role.client is None and role.name == ADMIN for role in subject.roles):
        return frozenset(MANAGEMENT_ROLES)
    if issuer.name != realm.name:
        return frozenset()
    management = realm.clients[REALM_MANAGEMENT].id
    return frozenset(role.name for role in subject.roles if role.client == management)


def issuing_realm(token: str) -> str:
    """The name of the realm that a token says it is from; its signature is checked with that realm's keys."""
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["iss"]).rpartition("/realms/")[2]
    except (ValueError, LookupError, TypeError):
        return ""


async def read_body(request: Request) -> Any:
    """The JSON body of a request.

    Raises:
        IdentityError: 400 when it is not JSON, or holds NUL characters, which no database takes.
    """
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media_type != "application/json":
        refused = "The content-type header value did not match the value in @Consumes"
        raise IdentityError(415, {"error": refused})
    body = await request.body()
    try:
        if b"\\u0000" in body:
            raise ValueError
        return orjson.loads(body)
    except ValueError as failure:
        words = {"error": "invalid_request", "error_description": "Cannot parse the JSON"}
        raise IdentityError(400, words) from failure


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; IdentityError 400 for anything else."""
    body = await read_body(request)
    if not isinstance(body, dict):
        raise IdentityError(400, {"error": "unknown_error", "error_description": "Cannot parse the JSON"})
    return body


async def read_user(request: Request) -> dict[str, Any]:
    """A user's representation in a request's body; IdentityError 400 for anything else."""
    body = await read_object(request)
    json_members.only("UserRepresentation", json_members.USER, body)
    return body


async def read_group(request: Request) -> dict[str, Any]:
    """A group's representation in a request's body; IdentityError 400 for anything else."""
    body = await read_object(request)
    json_members.only("GroupRepresentation", json_members.GROUP, body)
    return body


async def read_list(request: Request) -> list[dict[str, Any]]:
    """The JSON list of objects in a request's body; IdentityError 400 for anything else."""
    body = await read_body(request)
    if not isinstance(body, list) or not all(isinstance(one, dict) for one in body):
        raise IdentityError(400, {"error": "unknown_error", "error_description": "Cannot parse the JSON"})
    return body


def location_of(request: Request, *segments: str) -> str:
    """The address of something new: that of the request, with segments behind it."""
    address = request.url.replace(query="", fragment="")
    return "/".join([str(address).rstrip("/"), *segments])
