"""The realm file: the application's realm in Keycloak's import format, filled in from the settings.

One template, `templates/keycloak/jan-realm.json.j2`, serves the embedded issuer and a real
Keycloak. Secrets are in the settings and stand in no file that is kept in the repository.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from jan_server.identity.keys import private_pem, read_private_key
from jan_server.settings.resources import templates_dir
from jan_server.settings.tree import Settings

TEMPLATE = "keycloak/jan-realm.json.j2"

KEY_PROVIDER = "org.keycloak.keys.KeyProvider"
"""The kind of component under which a realm keeps its keys."""

_CALLBACKS = ("/auth/callback", "/auth/google/callback")
_LOOPBACK = ("localhost", "127.0.0.1")

# Every attribute may be set by administrators, none by users, and no name is demanded of anybody
# (contract/identity.md, section 2).
_USER_PROFILE = {
    "unmanagedAttributePolicy": "ADMIN_EDIT",
    "attributes": [
        {
            "name": name,
            "displayName": f"${{{name}}}",
            "validations": validations,
            "permissions": {"view": ["admin", "user"], "edit": ["admin", "user"]},
            "multivalued": False,
        }
        for name, validations in {
            "username": {"length": {"min": 1, "max": 255}, "username-prohibited-characters": {}},
            "email": {"email": {}, "length": {"max": 255}},
            "firstName": {"length": {"max": 255}, "person-name-prohibited-characters": {}},
            "lastName": {"length": {"max": 255}, "person-name-prohibited-characters": {}},
        }.items()
    ],
}


def read_realm_file(settings: Settings) -> dict[str, Any]:
    """Render the realm file with the settings and parse it.

    Returns:
        A realm in Keycloak's representation (RealmRepresentation).

    Raises:
        ValueError: A setting that the file needs is missing or wrong; the text names it.
    """
    representation: dict[str, Any] = json.loads(render_realm_file(settings))
    return representation


def render_realm_file(settings: Settings) -> str:
    """Render the realm file with the settings, as text that Keycloak imports.

    Raises:
        ValueError: A setting that the file needs is missing or wrong; the text names it.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - JSON, where every value goes through `tojson`
    )
    environment.policies["json.dumps_function"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return environment.get_template(TEMPLATE).render(_variables(settings))


def _variables(settings: Settings) -> dict[str, Any]:
    keycloak = settings.infrastructure.auth.keycloak
    identity = settings.identity
    secret = keycloak.backend_client_secret.get_secret_value()
    if not secret:
        raise ValueError("BACKEND_CLIENT_SECRET is empty: run `jan quickstart`, which makes one")
    username = identity.application_admin_username
    return {
        "realm": keycloak.realm,
        "guest_role": keycloak.guest_role,
        "backend_client": keycloak.backend_client_id,
        "backend_secret": secret,
        "user_client": keycloak.client[0],
        "script_clients": keycloak.client[1:],
        "redirect_uris": redirect_uris(settings),
        "web_origins": web_origins(settings),
        "signing_key": signing_key_pem(settings),
        "user_profile": json.dumps(_USER_PROFILE),
        "admin_username": username,
        "admin_email": administrator_email(settings),
        "admin_password": identity.application_admin_password.get_secret_value(),
        "login_limited": identity.login_limit.attempts > 0,
        "login_attempts": max(identity.login_limit.attempts, 1),
        "login_window_seconds": max(int(identity.login_limit.window.total_seconds()), 1),
    }


def administrator_email(settings: Settings) -> str:
    """The address of the application administrator."""
    username = settings.identity.application_admin_username
    return username if "@" in username else f"{username}@jan.internal"


def signing_key_pem(settings: Settings) -> str:
    """The realm's signing key from the settings as PEM, or an empty text when there is none.

    Raises:
        ValueError: The setting holds something else.
    """
    text = settings.identity.signing_key.get_secret_value()
    if not text:
        return ""
    try:
        return private_pem(read_private_key(text))
    except ValueError as failure:
        raise ValueError(f"JAN_REALM_SIGNING_KEY (identity.signing_key): {failure}") from failure


def signing_key_provider(settings: Settings, key: str) -> dict[str, Any]:
    """The key provider that the realm file has with another signing key.

    Raises:
        ValueError: A setting that the file needs is missing or wrong.
    """
    identity = settings.identity.model_copy(update={"signing_key": SecretStr(key)})
    file = read_realm_file(settings.model_copy(update={"identity": identity}))
    providers: list[dict[str, Any]] = file["components"][KEY_PROVIDER]
    return next(provider for provider in providers if provider["providerId"] == "rsa")


def redirect_uris(settings: Settings) -> list[str]:
    """Where a browser may be sent back: the contract's addresses, the gateway's and the operator's own."""
    gateway = settings.infrastructure.gateway
    found = [settings.infrastructure.auth.keycloak.oauth_redirect_uri]
    found += [f"{gateway.public_url.rstrip('/')}{path}" for path in _CALLBACKS]
    for host in _LOOPBACK:
        found += [f"http://{host}:{port}{path}" for port in (8000, 8080) for path in _CALLBACKS]
        found += [f"http://{host}:{port}/*" for port in (3000, 3001)]
    found += settings.identity.redirect_uris
    return list(dict.fromkeys(found))


def web_origins(settings: Settings) -> list[str]:
    """Which pages may call the issuer from a browser: those of the redirect addresses."""
    fixed = [f"http://{host}:{port}" for host in _LOOPBACK for port in (3000, 3001, 8000, 8080)]
    return [*fixed, "+"]
