"""Which client sends a request to the protocol's endpoints, and whether it is that client.

Source: RFC 6749, section 2.3: HTTP Basic, or `client_id` and `client_secret` in the form. A
public client only says its name.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from starlette.requests import Request

from jan_server.identity.clients import TOKEN_EXCHANGE, Client
from jan_server.identity.errors import IdentityError, oauth_error
from jan_server.identity.realm import Realm

_REFUSED = "Invalid client or Invalid client credentials"
FORM = "application/x-www-form-urlencoded"
REPEATABLE = frozenset({"audience", "resource"})
"""What may come more than once with the grant of token exchange (RFC 8693, section 2.1)."""


async def read_form(request: Request) -> dict[str, str]:
    """The form of a request; anything else counts as an empty one.

    Raises:
        IdentityError: 400 when a parameter comes twice, unless it may where tokens are exchanged.
    """
    if not request.headers.get("content-type", "").startswith((FORM, "multipart/form-data")):
        return {}
    form = await request.form(max_files=0, max_fields=100)
    found: dict[str, str] = {}
    for name, value in form.multi_items():
        if name in found and not (name in REPEATABLE and form.get("grant_type") == TOKEN_EXCHANGE):
            raise oauth_error("invalid_request", "duplicated parameter")
        if isinstance(value, str) and "\x00" not in value:
            found[name] = value
    return found


async def values_of(request: Request, name: str) -> list[str]:
    """All values of a parameter of a form that was read (`read_form`), each once."""
    if not request.headers.get("content-type", "").startswith((FORM, "multipart/form-data")):
        return []
    form = await request.form(max_files=0, max_fields=100)
    return list(dict.fromkeys(value for value in form.getlist(name) if isinstance(value, str)))


def authenticate_client(request: Request, realm: Realm, form: Mapping[str, str]) -> Client:
    """The client that a request comes from.

    Raises:
        IdentityError: 401 when it is unknown, disabled, or cannot prove who it is.
    """
    name, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret"))
    client = realm.clients.get(name)
    if client is None:
        raise oauth_error("invalid_client", _REFUSED, status=401)
    if client.bearer_only:
        raise oauth_error("unauthorized_client", _REFUSED, status=401)
    if not client.enabled:
        raise oauth_error("invalid_client", _REFUSED, status=401)
    if not client.public and not _same(secret or "", client.secret):
        raise oauth_error("unauthorized_client", _REFUSED, status=401)
    return client


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise oauth_error("invalid_client", _REFUSED, status=401)
    return unquote_plus(name), unquote_plus(secret)


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def bearer_of(request: Request) -> str:
    """The bearer token of a request, or an empty text."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def bearer_refusal(realm: str, error: str = "", description: str = "", *, status: int = 401) -> IdentityError:
    """What a protected endpoint answers without a good token: a challenge alone (RFC 6750, section 3)."""
    challenge = f'Bearer realm="{realm}"'
    if error:
        challenge += f', error="{error}", error_description="{description}"'
    return IdentityError(status, {}, {"www-authenticate": challenge})
