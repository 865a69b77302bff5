"""Requests of browsers to be logged in for a client: read, checked and answered with a code.

Source: RFC 6749, section 4.1; RFC 7636 (PKCE); RFC 9207 (issuer in the answer); OpenID
Connect Core 1.0, section 3.1.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.identity.clients import Client
from jan_server.identity.errors import IdentityError
from jan_server.identity.realm import Realm
from jan_server.identity.redirects import is_registered
from jan_server.identity.scopes import grant_scope
from jan_server.identity.sessions import fingerprint
from jan_server.identity.tables import AuthorizationCodeRow, UserSessionRow, now

_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")
_MAX_AGE = re.compile(r"[0-9]{1,10}\Z")
_HYBRID = frozenset({"token", "id_token"})
"""Response types of the implicit and the hybrid flow, whose answers travel in fragments."""

RESPONSE_MODES = ("query", "fragment", "form_post")


class PageError(Exception):
    """A request that may not send the browser anywhere: the person is told instead."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request for a code; the members are its parameters."""

    client_id: str
    redirect_uri: str
    response_type: str = ""
    response_mode: str = ""
    scope: str = ""
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    prompt: str = ""
    login_hint: str = ""
    max_age: str = ""

    def parameters(self) -> dict[str, str]:
        """The parameters that were given."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name))}

    @property
    def mode(self) -> str:
        """How the answer travels."""
        if self.response_mode in RESPONSE_MODES:
            return self.response_mode
        return "fragment" if _HYBRID.intersection(self.response_type.split()) else "query"

    @property
    def prompts(self) -> frozenset[str]:
        """What the person has to see, or may not see."""
        return frozenset(self.prompt.split())


class RefusedRequest(Exception):
    """A request that is refused, and whose client is told so through the browser."""

    def __init__(self, request: AuthorizationRequest, error: str, description: str = "") -> None:
        super().__init__(f"{error} {description}")
        self.request = request
        self.error = error
        self.description = description


def read_authorization_request(realm: Realm, parameters: Mapping[str, str]) -> AuthorizationRequest:
    """Read a request and check everything about it that needs no log-in.

    Raises:
        PageError: The client or its redirect address is not good, so nobody may be sent there.
        RefusedRequest: Anything else is not good.
    """
    client = realm.clients.get(parameters.get("client_id", ""))
    if not parameters.get("client_id"):
        raise PageError("Invalid request: the parameter client_id is missing.")
    if client is None or client.bearer_only:
        raise PageError("Client not found.")
    if not client.enabled:
        raise PageError("Client disabled.")
    if not is_registered(parameters.get("redirect_uri", ""), client.redirect_uris):
        raise PageError("Invalid parameter: redirect_uri")
    names = [field.name for field in fields(AuthorizationRequest)]
    request = AuthorizationRequest(**{name: parameters[name] for name in names if name in parameters})
    _check_flow(request, client)
    if request.max_age and not _MAX_AGE.match(request.max_age):
        raise PageError("Invalid Request")
    try:
        grant_scope(client, realm.scopes, request.scope)
    except IdentityError as refusal:
        description = str(refusal.body.get("error_description", ""))
        raise RefusedRequest(request, str(refusal.body["error"]), description) from refusal
    _check_challenge(request, client)
    return request


def _check_flow(request: AuthorizationRequest, client: Client) -> None:
    if not request.response_type:
        raise RefusedRequest(request, "invalid_request", "Missing parameter: response_type")
    if request.response_mode and request.response_mode not in RESPONSE_MODES:
        raise RefusedRequest(request, "invalid_request", "Invalid parameter: response_mode")
    asked = set(request.response_type.split())
    if not asked <= {"code", *_HYBRID}:
        raise RefusedRequest(request, "unsupported_response_type")
    for flow, missing in (
        ("Standard", "code" in asked and not client.code_flow),
        ("Implicit", asked & _HYBRID),
    ):
        if missing:
            words = (
                "Client is not allowed to initiate browser login with given response_type. "
                f"{flow} flow is disabled for the client."
            )
            raise RefusedRequest(request, "unauthorized_client", words)


def _check_challenge(request: AuthorizationRequest, client: Client) -> None:
    method, challenge = request.code_challenge_method, request.code_challenge
    required = client.challenge_method
    if required and not method:
        raise RefusedRequest(request, "invalid_request", "Missing parameter: code_challenge_method")
    if required and method != required:
        raise RefusedRequest(
            request,
            "invalid_request",
            "Invalid parameter: code challenge method is not matching the configured one",
        )
    if method and method not in ("S256", "plain"):
        raise RefusedRequest(request, "invalid_request", "Invalid parameter: invalid code_challenge_method")
    if (method or required) and not challenge:
        raise RefusedRequest(request, "invalid_request", "Missing parameter: code_challenge")
    if challenge and not _CHALLENGE.match(challenge):
        raise RefusedRequest(request, "invalid_request", "Invalid parameter: code_challenge")


async def issue_code(
    session: AsyncSession, realm: Realm, request: AuthorizationRequest, online: UserSessionRow
) -> str:
    """A code for the client, good once and for a minute."""
    code = secrets.token_urlsafe(32)
    method = (request.code_challenge_method or "plain") if request.code_challenge else None
    session.add(
        AuthorizationCodeRow(
            code_hash=fingerprint(code),
            session_id=online.id,
            client_id=realm.clients[request.client_id].id,
            redirect_uri=request.redirect_uri,
            scope=request.scope,
            nonce=request.nonce or None,
            code_challenge=request.code_challenge or None,
            code_challenge_method=method,
            expires_at=now() + timedelta(seconds=realm.seconds("accessCodeLifespan")),
        )
    )
    await session.flush()
    return code


def code_answer(
    realm: Realm, request: AuthorizationRequest, online: UserSessionRow, code: str
) -> list[tuple[str, str]]:
    """The parameters that tell a client that the log-in succeeded."""
    state = [("state", request.state)] if request.state else []
    return [*state, ("session_state", online.id), ("iss", realm.issuer), ("code", code)]


def refusal_answer(realm: Realm, refused: RefusedRequest) -> list[tuple[str, str]]:
    """The parameters that tell a client why there is no log-in."""
    description = [("error_description", refused.description)] if refused.description else []
    state = [("state", refused.request.state)] if refused.request.state else []
    return [("error", refused.error), *description, *state, ("iss", realm.issuer)]
