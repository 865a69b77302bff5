"""A scripted Keycloak: one realm in memory over a real socket, which can be told to fail.

It stands in for a Keycloak that is slow, broken or gone; the embedded issuer is what the
other tests talk to.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa

BACKEND_SECRET = "a-secret-of-the-test-realm"
ROLES = ("admin", "user", "guest")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

Step = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class User:
    """One account of the realm."""

    id: str
    username: str
    email: str
    password: str = ""
    enabled: bool = True
    first_name: str = ""
    last_name: str = ""
    attributes: dict[str, list[str]] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def representation(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "username": self.username,
            "email": self.email,
            "enabled": self.enabled,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "attributes": self.attributes,
        }


class Keycloak:
    """The realm `jan`; `script` takes a step for paths, which may answer or raise in their stead."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.steps: dict[tuple[str, str], Step] = {}
        self.down = False
        self.url = ""

    def script(self, method: str, ending: str, step: Step) -> None:
        """Let `step` answer what ends in `ending`; it may return None to let the realm answer."""
        self.steps[method, ending] = step

    def add_user(self, name: str) -> User:
        user = User(id=str(uuid.uuid4()), username=name, email=f"{name}@example.org")
        self.users[user.id] = user
        return user

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/jan"

    def token(self, user: User, **claims: Any) -> str:
        now = int(time.time())
        return jwt.encode(
            {
                "iss": self.issuer,
                "sub": user.id,
                "aud": "account",
                "azp": "jan-client",
                "typ": "Bearer",
                "iat": now,
                "exp": now + 3600,
                "preferred_username": user.username,
                "email": user.email,
                "guest": user.attributes.get("guest", ["false"])[0],
                "scope": "openid profile email",
                "realm_access": {"roles": sorted(user.roles)},
                "groups": [group["path"] for group in user.groups],
                **claims,
            },
            KEY,
            algorithm="RS256",
            headers={"kid": "test-key"},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Keycloak]:
        """Serve on a free port while the context lasts."""
        app = web.Application(middlewares=[self._scripted])
        protocol = "/realms/jan/protocol/openid-connect"
        admin = "/admin/realms/jan"
        app.add_routes(
            [
                web.get(f"{protocol}/certs", self._certs),
                web.post(f"{protocol}/token", self._token),
                web.get(f"{protocol}/userinfo", self._userinfo),
                web.post(f"{protocol}/logout", self._forget),
                web.post(f"{protocol}/revoke", self._forget),
                web.post(f"{admin}/users", self._create),
                web.get(f"{admin}/users", self._search),
                web.get(f"{admin}/users/{{id}}", self._read),
                web.put(f"{admin}/users/{{id}}", self._update),
                web.delete(f"{admin}/users/{{id}}", self._delete),
                web.put(f"{admin}/users/{{id}}/reset-password", self._password),
                web.post(f"{admin}/users/{{id}}/role-mappings/realm", self._map_roles),
                web.delete(f"{admin}/users/{{id}}/role-mappings/realm", self._map_roles),
                web.get(f"{admin}/users/{{id}}/role-mappings/realm/composite", self._roles_of),
                web.get(f"{admin}/users/{{id}}/groups", self._groups_of),
                web.put(f"{admin}/users/{{id}}/groups/{{group}}", self._join),
                web.post(f"{admin}/groups", self._make_group),
                web.get(f"{admin}/roles/{{name}}", self._role),
            ]
        )
        server = TestServer(app)
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    @web.middleware
    async def _scripted(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append((request.method, request.path))
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        for (method, ending), step in self.steps.items():
            if request.method == method and request.path.endswith(ending):
                answer = await step(request)
                if answer is not None:
                    return answer
        if request.path.startswith("/admin/") and request.headers.get("Authorization") != "Bearer service":
            return refused(401, "HTTP 401 Unauthorized")
        return await handler(request)

    def _known(self, request: web.Request) -> User:
        user = self.users.get(request.match_info["id"])
        if user is None:
            raise web.HTTPNotFound(text='{"error":"User not found"}', content_type="application/json")
        return user

    async def _certs(self, request: web.Request) -> web.Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        return web.json_response({"keys": [{**key, "kid": "test-key", "use": "sig", "alg": "RS256"}]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        match form["grant_type"]:
            case "client_credentials" if form["client_secret"] == BACKEND_SECRET:
                return web.json_response(
                    {"access_token": "service", "expires_in": 300, "token_type": "Bearer"}
                )
            case "client_credentials":
                return refused(401, "unauthorized_client", "Invalid client or Invalid client credentials")
            case "password":
                for user in self.users.values():
                    names = (user.username, user.email)
                    if form["username"] in names and user.password == form["password"] and user.enabled:
                        return self._tokens(user)
                return refused(401, "invalid_grant", "Invalid user credentials")
            case "refresh_token":
                user_id = self.refresh_tokens.pop(str(form["refresh_token"]), "")
                if user_id in self.users:
                    return self._tokens(self.users[user_id])
        return refused(400, "invalid_grant", "Token is not active")

    def _tokens(self, user: User) -> web.Response:
        refresh = secrets.token_hex(8)
        self.refresh_tokens[refresh] = user.id
        return web.json_response(
            {
                "access_token": self.token(user),
                "refresh_token": refresh,
                "expires_in": 3600,
                "token_type": "Bearer",
            }
        )

    async def _userinfo(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience="account")
        except jwt.PyJWTError:
            return refused(401, "invalid_token", "Token verification failed")
        return web.json_response({"sub": claims["sub"], "email": claims["email"]})

    async def _forget(self, request: web.Request) -> web.Response:
        form = await request.post()
        known = self.refresh_tokens.pop(str(form.get("refresh_token") or form.get("token")), None)
        return web.Response(status=204) if known else refused(400, "invalid_grant", "Invalid refresh token")

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(user.email == body["email"] for user in self.users.values()):
            return web.json_response({"errorMessage": "User exists with same email"}, status=409)
        # The e-mail is the username in this realm.
        user = User(
            id=str(uuid.uuid4()),
            username=body["email"],
            email=body["email"],
            password=body["credentials"][0]["value"],
            attributes=body.get("attributes", {}),
        )
        self.users[user.id] = user
        return web.Response(status=201, headers={"Location": f"{self.url}/admin/realms/jan/users/{user.id}"})

    async def _search(self, request: web.Request) -> web.Response:
        found = [user for user in self.users.values() if user.email == request.query["email"]]
        return web.json_response([user.representation() for user in found])

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self._known(request).representation())

    async def _update(self, request: web.Request) -> web.Response:
        user, body = self._known(request), await request.json()
        if any(other is not user and other.email == body["email"] for other in self.users.values()):
            return web.json_response({"errorMessage": "User exists with same email"}, status=409)
        user.email = user.username = body["email"]
        user.first_name = body.get("firstName", user.first_name)
        user.attributes = body["attributes"]
        user.enabled = body["enabled"]
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        del self.users[self._known(request).id]
        return web.Response(status=204)

    async def _password(self, request: web.Request) -> web.Response:
        self._known(request).password = (await request.json())["value"]
        return web.Response(status=204)

    async def _map_roles(self, request: web.Request) -> web.Response:
        user = self._known(request)
        names = {role["name"] for role in await request.json()}
        user.roles = user.roles | names if request.method == "POST" else user.roles - names
        return web.Response(status=204)

    async def _roles_of(self, request: web.Request) -> web.Response:
        return web.json_response([role_named(name) for name in sorted(self._known(request).roles)])

    async def _groups_of(self, request: web.Request) -> web.Response:
        return web.json_response(self._known(request).groups)

    async def _make_group(self, request: web.Request) -> web.Response:
        body = await request.json()
        group = {"id": str(uuid.uuid4()), "path": f"/{body['name']}", **body}
        self.groups[group["id"]] = group
        where = f"{self.url}/admin/realms/jan/groups/{group['id']}"
        return web.Response(status=201, headers={"Location": where})

    async def _join(self, request: web.Request) -> web.Response:
        self._known(request).groups.append(self.groups[request.match_info["group"]])
        return web.Response(status=204)

    async def _role(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in ROLES:
            return refused(404, "Could not find role")
        return web.json_response(role_named(name))


def role_named(name: str) -> dict[str, Any]:
    """A realm role as Keycloak represents it."""
    return {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "name": name, "composite": False}


def refused(status: int, error: str, description: str = "") -> web.Response:
    """An error as Keycloak tells it."""
    return web.json_response({"error": error, "error_description": description}, status=status)
