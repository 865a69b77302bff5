"""The identity server that tests talk to: the embedded issuer over a real socket, or a real Keycloak.

With JAN_TEST_KEYCLOAK_URL the tests in `protocol/` run against that Keycloak, whose realm `jan`
they replace: use one that holds nothing else. JAN_TEST_KEYCLOAK_ADMIN and
JAN_TEST_KEYCLOAK_ADMIN_PASSWORD name its administrator (`admin` without saying so).
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import uvicorn
from keycloak import KeycloakAdmin, KeycloakOpenID

from jan_server.http.client import open_client
from jan_server.http.context import ServiceContext
from jan_server.identity.app import create_app
from jan_server.identity.keys import new_private_key, private_pem
from jan_server.identity.realm_file import render_realm_file
from jan_server.settings.tree import Settings
from tests.waiting import wait_until

BACKEND_SECRET = "backend-secret-of-a-test"
APPLICATION_ADMIN_PASSWORD = "application-admin-of-a-test"
MASTER_PASSWORD = "master-admin-of-a-test"
PASSWORD = "a password of a test"

# One client for all calls that carry no cookie: making one reads every root certificate anew.
http = httpx.Client(timeout=30, verify=False)

CALLBACK = "http://localhost:3000/callback"


@functools.cache
def _signing_key() -> str:
    return private_pem(new_private_key())


def settings_for_tests(*, trusted_ips: tuple[str, ...] = (), **identity: Any) -> Settings:
    """Settings with every secret that identity needs."""
    return Settings(
        identity={
            "signing_key": _signing_key(),
            "application_admin_password": APPLICATION_ADMIN_PASSWORD,
            **identity,
        },
        infrastructure={
            "auth": {
                "keycloak": {
                    "admin_password": MASTER_PASSWORD,
                    "backend_client_secret": BACKEND_SECRET,
                }
            },
            "gateway": {"trusted_ips": trusted_ips},
        },
    )


@dataclass(frozen=True)
class User:
    """An account that a test made."""

    id: str
    email: str
    password: str = PASSWORD


@dataclass(frozen=True)
class IdentityServer:
    """An identity server and how to enter it."""

    url: str
    settings: Settings
    master_user: str
    master_password: str
    real: bool
    database_url: str = ""
    _admins: dict[str, KeycloakAdmin] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """Where the protocol's endpoints are."""
        return f"{self.url}/realms/jan/protocol/openid-connect"

    @property
    def admin(self) -> str:
        """Where the admin API of the realm is."""
        return f"{self.url}/admin/realms/jan"

    def openid(self, client: str = "jan-client", secret: str | None = None) -> KeycloakOpenID:
        return KeycloakOpenID(self.url, "jan", client, client_secret_key=secret)

    def backend(self) -> KeycloakOpenID:
        return self.openid("backend", BACKEND_SECRET)

    def master_admin(self) -> KeycloakAdmin:
        """The admin API as the master realm's administrator sees it."""
        if "master" not in self._admins:
            self._admins["master"] = KeycloakAdmin(
                self.url,
                username=self.master_user,
                password=self.master_password,
                realm_name="jan",
                user_realm_name="master",
            )
        return self._admins["master"]

    def backend_admin(self) -> KeycloakAdmin:
        """The admin API as the services see it: through the service account of `backend`."""
        if "backend" not in self._admins:
            self._admins["backend"] = KeycloakAdmin(
                self.url, realm_name="jan", client_id="backend", client_secret_key=BACKEND_SECRET
            )
        return self._admins["backend"]

    def backend_headers(self) -> dict[str, str]:
        """The credential of the services' account, for calls without python-keycloak."""
        token = self.backend().token(grant_type="client_credentials")["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def token(self, **form: str) -> httpx.Response:
        """Ask the token endpoint."""
        return http.post(f"{self.protocol}/token", data=form)

    def log_in(self, user: User, *, client: str = "jan-client", scope: str = "openid") -> dict[str, Any]:
        """Log a user in by password; fails the test when that is refused."""
        answer = self.token(
            grant_type="password", client_id=client, username=user.email, password=user.password, scope=scope
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, token: str, client: str = "jan-client") -> httpx.Response:
        return self.token(grant_type="refresh_token", client_id=client, refresh_token=token)

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token, its signature checked with the keys that the realm publishes."""
        keys = http.get(f"{self.protocol}/certs").json()["keys"]
        kid = jwt.get_unverified_header(token)["kid"]
        key = next(key for key in keys if key["kid"] == kid)
        return jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], options={"verify_aud": False})

    def new_user(self, **more: Any) -> User:
        """Make an enabled user with a password."""
        email = more.pop("email", f"user-{uuid.uuid4().hex[:12]}@example.org")
        admin = self.backend_admin()
        credentials = [{"type": "password", "value": PASSWORD, "temporary": False}]
        body = {"username": email, "email": email, "enabled": True, "credentials": credentials, **more}
        return User(admin.create_user(body), email)


@contextmanager
def served(settings: Settings, database_url: str, home: Path) -> Iterator[IdentityServer]:
    """The embedded issuer on a port of its own, on a thread of its own."""
    # asyncio switches Nagle's algorithm off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    failures: list[BaseException] = []
    server: list[uvicorn.Server] = []

    async def serve() -> None:
        client = open_client()
        try:
            app = create_app(ServiceContext(settings, home, database_url, client))
            server.append(uvicorn.Server(uvicorn.Config(app, log_level="warning", proxy_headers=False)))
            await server[0].serve(sockets=[listener])
        finally:
            await client.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: failures or not thread.is_alive() or (server and server[0].started))
    if failures:
        raise failures[0]
    assert server[0].started, "the issuer did not start; its log says why"
    try:
        yield IdentityServer(
            url=url,
            settings=settings,
            master_user=settings.infrastructure.auth.keycloak.admin_user,
            master_password=MASTER_PASSWORD,
            real=False,
            database_url=database_url,
        )
    finally:
        server[0].should_exit = True
        thread.join(20)


def given_keycloak(settings_at: Callable[[str], Settings]) -> IdentityServer | None:
    """The Keycloak of JAN_TEST_KEYCLOAK_URL, its realm made anew; None when no such is named.

    Args:
        settings_at: The settings that fill in the realm file, by the address of the Keycloak.
    """
    url = os.environ.get("JAN_TEST_KEYCLOAK_URL", "").rstrip("/")
    if not url:
        return None
    user = os.environ.get("JAN_TEST_KEYCLOAK_ADMIN", "admin")
    return real_keycloak(url, user, os.environ["JAN_TEST_KEYCLOAK_ADMIN_PASSWORD"], settings_at(url))


def real_keycloak(url: str, admin_user: str, admin_password: str, settings: Settings) -> IdentityServer:
    """A Keycloak whose realm `jan` is now the one of the realm file."""
    server = IdentityServer(url.rstrip("/"), settings, admin_user, admin_password, real=True)
    admin = KeycloakAdmin(server.url, username=admin_user, password=admin_password, realm_name="master")
    if any(realm["realm"] == "jan" for realm in admin.get_realms()):
        admin.delete_realm("jan")
    admin.create_realm(json.loads(render_realm_file(settings)))
    return server
