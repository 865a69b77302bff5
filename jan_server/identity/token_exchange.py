"""Token exchange: a confidential client trades an access token for one of its own, with fewer rights.

Source: RFC 8693, in the shape of Keycloak 26's standard token exchange: internal access tokens only,
no refresh tokens, the client has to be the token's holder or in its audience. Errors in Keycloak's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jan_server.identity.access_tokens import AccessToken, verify_access_token
from jan_server.identity.errors import IdentityError, oauth_error
from jan_server.identity.grants import TokenRequest
from jan_server.identity.subject import load_subject
from jan_server.identity.tokens import Grant, audience_of, token_response

TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = f"{TYPES}access_token"
ID_TOKEN = f"{TYPES}id_token"

_NOT_SUPPORTED = ("requested_subject", "requested_issuer", "subject_issuer")


async def exchange_grant(request: TokenRequest) -> dict[str, Any]:
    """Trade the subject token of a request for a token of the client that asks.

    The new token has the requested scopes, and of its audience and client roles only those of the
    requested audiences. It belongs to the session of the subject token and ends with it.
    """
    _check_parameters(request)
    wanted = request.form.get("requested_token_type", ACCESS_TOKEN)
    async with request.resources.database.session() as session:
        subject_token = await verify_access_token(session, request.realm, request.form["subject_token"])
        if subject_token is None:
            raise _invalid("Invalid token")
        if wanted not in (ACCESS_TOKEN, ID_TOKEN):
            raise _invalid("requested_token_type unsupported")
        audiences = _known_audiences(request)
        _check_holder(request, subject_token)
        scope = request.scope()
        grant = Grant(
            request.realm,
            request.client,
            await load_subject(session, request.realm, subject_token.user),
            replace(scope, openid=True) if wanted == ID_TOKEN else scope,
            subject_token.session,
            audiences=audiences,
        )
        if missing := [name for name in audiences if name not in audience_of(grant)]:
            raise _invalid(f"Requested audience not available: {', '.join(missing)}")
        body = await token_response(session, grant, refreshable=False)
    if wanted == ID_TOKEN:
        # RFC 8693, section 2.2.1: whatever was issued stands in `access_token`.
        body["access_token"] = body.pop("id_token")
        body["scope"] = scope.shown
        body["token_type"] = "N_A"  # noqa: S105 - the name of no scheme
    return {**body, "issued_token_type": wanted}


def _check_parameters(request: TokenRequest) -> None:
    form = request.form
    for name in _NOT_SUPPORTED:
        if name in form:
            raise _invalid(f"Parameter '{name}' is not supported for standard token exchange")
    if not request.client.token_exchange:
        raise _invalid("Standard token exchange is not enabled for the requested client")
    for name in ("subject_token", "subject_token_type"):
        if name not in form:
            raise _invalid(f"Parameter '{name}' required for standard token exchange")
    if form["subject_token_type"] != ACCESS_TOKEN:
        raise _invalid("Parameter 'subject_token' supports access tokens only")


def _known_audiences(request: TokenRequest) -> Sequence[str]:
    for name in request.audiences:
        if name not in request.realm.clients:
            raise oauth_error("invalid_client", "Audience not found")
    return request.audiences


def _check_holder(request: TokenRequest, token: AccessToken) -> None:
    """Whoever got a token, or is meant to get it, may exchange it; a client without a secret may not."""
    client = request.client
    if client.public:
        raise oauth_error("invalid_client", "Public client is not allowed to exchange token")
    if any(not request.realm.clients[name].enabled for name in request.audiences):
        raise oauth_error("invalid_client", "Client disabled")
    meant_for = token.claims.get("aud", [])
    if isinstance(meant_for, str):
        meant_for = [meant_for]
    if token.claims.get("azp") != client.client_id and client.client_id not in meant_for:
        raise oauth_error("access_denied", "Client is not within the token audience", status=403)


def _invalid(description: str) -> IdentityError:
    return oauth_error("invalid_request", description)
