"""One of the two servers, and the values that requests name in braces, made there when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx

from tests.identity.browser import Browser, answer_of
from tests.identity.server import BACKEND_SECRET, CALLBACK, PASSWORD, IdentityServer, User, http

VERIFIER = "a-verifier-of-a-test-that-is-as-long-as-verifiers-have-to-be"
TEMPORARY = "a temporary password"


class Side:
    """A server with the users that the comparison needs: the same ones, by the same names, on both.

    Attributes:
        server: The server.
        ids: Ids of this server by a name that both share, so that answers can be compared.
    """

    def __init__(self, server: IdentityServer) -> None:
        self.server = server
        self.ids: dict[str, str] = {}
        self._made = 0
        self.ada = self.user(
            "ada",
            firstName="Ada",
            lastName="Lovelace",
            emailVerified=True,
            attributes={"pid": ["p-1"], "guest": ["false"], "picture": ["https://example.org/ada.png"]},
        )
        admin = server.master_admin()
        admin.group_user_add(self.ada.id, self.group("pilot_users"))
        admin.assign_realm_roles(self.ada.id, [admin.get_realm_role(name) for name in ("admin", "user")])

    @cached_property
    def issuer(self) -> str:
        """What tokens name as their issuer."""
        return str(self.server.openid().well_known()["issuer"])

    def user(self, name: str, **more: Any) -> User:
        """Make a user whose address and id both sides call the same."""
        user = self.server.new_user(email=f"{name}@compared.example", **more)
        self.ids[name] = user.id
        return user

    def new_user(self, **more: Any) -> User:
        """A user of one case alone."""
        self._made += 1
        return self.user(f"user-{self._made}", **more)

    def begin(self, case: int) -> None:
        """Name the users that the next case makes after it."""
        self._made = case * 100

    def group(self, name: str) -> str:
        """The id of a group at the top."""
        found = self.server.master_admin().get_group_by_path(f"/{name}")["id"]
        self.ids[f"group {name}"] = found
        return str(found)

    def role(self, name: str) -> str:
        """The id of a role of the realm."""
        found = self.server.master_admin().get_realm_role(name)["id"]
        self.ids[f"role {name}"] = found
        return str(found)

    def tokens(self, user: User | None = None, **more: str) -> dict[str, Any]:
        """What a log-in of a user gives; Ada's by default."""
        return self.server.log_in(user or self.ada, **more)

    def code(self, **more: str) -> str:
        """A code that a browser brought."""
        browser = Browser(self.server)
        browser.verifier = VERIFIER
        return answer_of(browser.log_in(self.ada.email, self.ada.password, **more))["code"]

    def ended(self, name: str) -> str:
        """A token whose session was logged out."""
        body = self.tokens()
        self.server.openid().logout(body["refresh_token"])
        return str(body[name])

    def used(self) -> str:
        """A refresh token that was used."""
        token = str(self.tokens()["refresh_token"])
        assert self.server.refresh(token).status_code == 200
        return token

    def spent_code(self) -> str:
        """A code that was exchanged."""
        code = self.code()
        form = {"client_id": "jan-client", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        assert self.server.token(grant_type="authorization_code", code=code, **form).status_code == 200
        return code

    def refresh_token_of(self, change: Callable[[User], object]) -> str:
        """The refresh token of a user that was changed after the log-in."""
        user = self.new_user()
        token = str(self.tokens(user)["refresh_token"])
        change(user)
        return token

    def access_token_of(self, change: Callable[[User], object]) -> str:
        """The access token of a user that was changed after the log-in."""
        user = self.new_user()
        token = str(self.tokens(user)["access_token"])
        change(user)
        return token

    def disable(self, user: User) -> None:
        self.server.backend_admin().update_user(user.id, {"enabled": False})

    def disabled(self) -> User:
        """A user that was disabled."""
        user = self.new_user()
        self.disable(user)
        return user

    def unready(self) -> User:
        """A user that has to choose a password first."""
        user = self.new_user()
        self.server.backend_admin().set_user_password(user.id, TEMPORARY, temporary=True)
        return user

    def waiting(self) -> User:
        """A user with more wrong passwords than are allowed."""
        user = self.new_user()
        for _ in range(self.server.settings.identity.login_limit.attempts):
            self.server.token(
                grant_type="password", client_id="jan-client", username=user.email, password="wrong"
            )
        return user

    def new_group(self) -> str:
        """The id of a group of one case alone."""
        self._made += 1
        name = f"group-{self._made}"
        self.server.backend_admin().create_group({"name": name})
        return self.group(name)

    def value(self, name: str) -> str:
        """A value that a request names in braces."""
        made = _VALUES[name](self)
        return made if isinstance(made, str) else str(made)

    def send(
        self, method: str, path: str, *, bearer: str = "", auth: tuple[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request; `bearer` is a credential, `{…}` in any text is a value of this side."""
        headers = {name: self.filled(value) for name, value in (more.pop("headers", None) or {}).items()}
        if bearer:
            headers["authorization"] = f"Bearer {self.filled(bearer)}"
        filled = {name: self.filled(value) for name, value in more.items()}
        return http.request(method, self.filled(path), headers=headers, auth=auth, **filled)

    def filled(self, value: Any) -> Any:
        """A request's text, or the texts in it, with its values."""
        if isinstance(value, dict):
            return {self.filled(name): self.filled(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.filled(member) for member in value]
        return value.format_map(_Values(self)) if isinstance(value, str) else value


class _Values(dict[str, str]):
    """Lets a text ask for values by name."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self._side = side

    def __missing__(self, name: str) -> str:
        return self._side.value(name)


def _master_token(side: Side) -> str:
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": side.server.master_user,
        "password": side.server.master_password,
    }
    answer = http.post(side.filled("{master}/token"), data=form)
    return str(answer.json()["access_token"])


_VALUES: dict[str, Callable[[Side], object]] = {
    "url": lambda side: side.server.url,
    "realm": lambda side: f"{side.server.url}/realms/jan",
    "protocol": lambda side: side.server.protocol,
    "auth realm": lambda side: f"{side.server.url}/auth/realms/jan",
    "auth protocol": lambda side: f"{side.server.url}/auth/realms/jan/protocol/openid-connect",
    "admin": lambda side: side.server.admin,
    "master": lambda side: f"{side.server.url}/realms/master/protocol/openid-connect",
    "master user": lambda side: side.server.master_user,
    "master password": lambda side: side.server.master_password,
    "password": lambda side: PASSWORD,
    "secret": lambda side: BACKEND_SECRET,
    "callback": lambda side: CALLBACK,
    "verifier": lambda side: VERIFIER,
    "ada": lambda side: side.ada.id,
    "ada's address": lambda side: side.ada.email,
    "new user": lambda side: side.new_user().id,
    "new user's address": lambda side: side.new_user().email,
    "disabled user's address": lambda side: side.disabled().email,
    "unready user's address": lambda side: side.unready().email,
    "waiting user's address": lambda side: side.waiting().email,
    "new group": Side.new_group,
    "group standard": lambda side: side.group("standard"),
    "group pilot_users": lambda side: side.group("pilot_users"),
    "role user": lambda side: side.role("user"),
    "role guest": lambda side: side.role("guest"),
    "new session": lambda side: side.tokens(side.new_user())["session_state"],
    "access token": lambda side: side.tokens()["access_token"],
    "access token of a script": lambda side: side.tokens(client="jan-admin")["access_token"],
    "access token without openid": lambda side: side.tokens(scope="profile")["access_token"],
    "access token of nobody's session": lambda side: side.ended("access_token"),
    "access token of a disabled user": lambda side: side.access_token_of(side.disable),
    "refresh token": lambda side: side.tokens()["refresh_token"],
    "refresh token without openid": lambda side: side.tokens(scope="profile")["refresh_token"],
    "offline token": lambda side: side.tokens(scope="openid offline_access")["refresh_token"],
    "used refresh token": Side.used,
    "ended refresh token": lambda side: side.ended("refresh_token"),
    "refresh token of a script": lambda side: side.tokens(client="jan-admin")["refresh_token"],
    "refresh token of a disabled user": lambda side: side.refresh_token_of(side.disable),
    "refresh token of a deleted user": lambda side: side.refresh_token_of(
        lambda user: side.server.backend_admin().delete_user(user.id)
    ),
    "refresh token of a user that an administrator logged out": lambda side: side.refresh_token_of(
        lambda user: side.server.backend_admin().user_logout(user.id)
    ),
    "id token": lambda side: side.tokens()["id_token"],
    "code": Side.code,
    "spent code": Side.spent_code,
    "code of another address": lambda side: side.code(redirect_uri="http://localhost:3000/other"),
    "offline code": lambda side: side.code(scope="openid offline_access"),
    "backend": lambda side: side.server.backend_headers()["Authorization"].removeprefix("Bearer "),
    "master token": _master_token,
}
"""Values by the names that requests use. Each mention makes a new one, except for what is there once."""
