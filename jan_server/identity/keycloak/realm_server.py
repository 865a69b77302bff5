"""The admin API of a Keycloak as the set-up uses it: one realm, spoken to as its administrator.

The protocol is python-keycloak's; here are the calls by path, with Keycloak's own words in each failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from keycloak import KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakError

from jan_server.settings.tree import Settings

_SECONDS = 60


class RealmServerError(RuntimeError):
    """Keycloak refused or did not answer.

    Attributes:
        status: The HTTP status; 0 without an answer.
        message: What it said.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who sets the realm up.

    Attributes:
        url: The address of the Keycloak.
        username: The administrator's name; empty to log in as a client.
        password: The password, or the client's secret.
        realm: The realm in which the administrator lives.
        client: The client to log in with.
    """

    url: str
    username: str
    password: str = field(repr=False)
    realm: str = "master"
    client: str = "admin-cli"

    @classmethod
    def of(cls, settings: Settings) -> Administrator:
        """The administrator that the settings name.

        Raises:
            RealmServerError: They hold no password and no client secret.
        """
        keycloak = settings.infrastructure.auth.keycloak
        secret = keycloak.admin_client_secret.get_secret_value()
        password = keycloak.admin_password.get_secret_value()
        if not secret and not password:
            raise RealmServerError(
                "no administrator: set KEYCLOAK_ADMIN and KEYCLOAK_ADMIN_PASSWORD, or "
                "KEYCLOAK_ADMIN_CLIENT_ID and KEYCLOAK_ADMIN_CLIENT_SECRET"
            )
        return cls(
            keycloak.base_url.rstrip("/"),
            "" if secret else keycloak.admin_user,
            secret or password,
            keycloak.admin_realm,
            keycloak.admin_client_id,
        )


class RealmServer:
    """One realm of a Keycloak.

    Args:
        administrator: Who asks.
        realm: Its name.

    Raises:
        RealmServerError: The administrator cannot log in.
    """

    def __init__(self, administrator: Administrator, realm: str) -> None:
        self.realm = realm
        person = bool(administrator.username)
        self._path = f"/admin/realms/{quote(realm, safe='')}"
        self._connection = KeycloakOpenIDConnection(
            server_url=administrator.url,
            username=administrator.username or None,
            password=administrator.password if person else None,
            client_secret_key=None if person else administrator.password,
            client_id=administrator.client,
            realm_name=realm,
            user_realm_name=administrator.realm,
            timeout=_SECONDS,
        )
        try:
            self._connection.get_token()
        except KeycloakError as failure:
            raise RealmServerError(
                f"{administrator.url} lets {administrator.username or administrator.client} not in: "
                f"{_words(failure)}",
                int(failure.response_code or 0),
            ) from failure

    def version(self) -> tuple[int, ...]:
        """The version of Keycloak, for example (26, 5, 6); nothing where the administrator may not see it."""
        try:
            answer = orjson.loads(self._call("raw_get", "/admin/serverinfo").content)
        except RealmServerError as failure:
            if failure.status == 403:
                return ()
            raise
        found = str((answer.get("systemInfo") or {}).get("version", ""))
        return tuple(int(part) for part in found.split(".") if part.isdecimal())

    def exists(self) -> bool:
        """Whether the realm is there."""
        try:
            self.get("")
        except RealmServerError as failure:
            if failure.status == 404:
                return False
            raise
        return True

    def create(self, representation: Mapping[str, Any]) -> None:
        """Import a whole realm."""
        self._call("raw_post", "/admin/realms", representation)

    def get(self, path: str, **query: Any) -> Any:
        """What is at a path below the realm, parsed."""
        return orjson.loads(self._call("raw_get", self._path + path, **query).content)

    def all(self, path: str, *, page: int = 500, **query: Any) -> list[Any]:
        """Every entry of a list, page after page."""
        found: list[Any] = []
        while True:
            entries = self.get(path, first=len(found), max=page, **query)
            found += entries
            if len(entries) < page:
                return found

    def post(self, path: str, body: Any) -> str:
        """Make something; returns the id that Keycloak gave it, if it told one."""
        location = self._call("raw_post", self._path + path, body).headers.get("Location", "")
        return str(location).rsplit("/", 1)[-1]

    def ask(self, path: str, **query: str) -> Any:
        """What a call that reads by POST answers, parsed."""
        where = f"{self._path}{path}?{urlencode(query)}"
        return orjson.loads(self._call("raw_post", where, {}).content)

    def put(self, path: str, body: Any = None) -> None:
        """Change something."""
        self._call("raw_put", self._path + path, {} if body is None else body)

    def delete(self, path: str) -> None:
        """Remove something."""
        self._call("raw_delete", self._path + path)

    def _call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        arguments = {} if body is None else {"data": orjson.dumps(body)}
        try:
            answer = getattr(self._connection, method)(path, **arguments, **query)
        except KeycloakError as failure:
            raise RealmServerError(_words(failure), int(failure.response_code or 0)) from failure
        if answer.status_code >= 400:
            raise RealmServerError(f"{path}: {answer.status_code} {answer.text[:512]}", answer.status_code)
        return answer


def _words(failure: KeycloakError) -> str:
    body = failure.response_body
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(failure.error_message or failure)
    return text[:512] or str(failure)
