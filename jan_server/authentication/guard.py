"""Who may come in: the credentials of a request, resolved to a principal.

Order (contract/gateway.md section 9, with unsigned headers no longer believed): the signed
identity header, an API key in `Authorization`, a realm's access token in `Authorization`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import Scope

from jan_server.authentication.identity_header import HEADER_BYTES, IdentitySigner
from jan_server.authentication.jwks import KeysUnavailable
from jan_server.authentication.outages import keys_unavailable
from jan_server.authentication.principal import Principal, principal_from_token
from jan_server.authentication.verifier import InvalidToken, TokenVerifier
from jan_server.http.errors import ApiError, forbidden, unauthorized

KEY_MARK = "sk_"

KeyResolver = Callable[[str], Awaitable[Principal | None]]


class Guard:
    """Resolves the credentials of a request.

    Args:
        signer: Verifies the header that the gateway signs.
        verifier: Verifies a realm's access tokens.
        resolve_key: Finds the principal of an API key; None where a service knows no keys.
        anonymous: Who calls without any credential; None where that is refused.
    """

    def __init__(
        self,
        signer: IdentitySigner,
        verifier: TokenVerifier,
        resolve_key: KeyResolver | None = None,
        *,
        anonymous: Principal | None = None,
    ) -> None:
        self._signer = signer
        self._verifier = verifier
        self._resolve_key = resolve_key
        self._anonymous = anonymous

    async def principal(self, scope: Scope) -> Principal:
        """The principal of a request.

        Raises:
            ApiError: 401 for a missing or refused credential, 503 while the realm's keys
                cannot be had.
        """
        identity = authorization = ""
        for name, value in scope["headers"]:
            if name == HEADER_BYTES:
                identity = value.decode("latin-1")
            elif name == b"authorization":
                authorization = value.decode("latin-1")
        if identity:
            try:
                return self._signer.verify(identity)
            except InvalidToken as failure:
                raise unauthorized(str(failure)) from failure
        credential = bearer(authorization)
        if not credential:
            if self._anonymous is not None and not authorization:
                return self._anonymous
            raise unauthorized(
                "unauthorized: send `Authorization: Bearer <token or key>`", code="missing_credential"
            )
        if credential.startswith(KEY_MARK):
            found = await self._resolve_key(credential) if self._resolve_key else None
            if found is None:
                raise unauthorized("Invalid API key", code="invalid_api_key")
            return found
        return await self.token_principal(credential)

    async def token_principal(self, token: str) -> Principal:
        """The principal of a realm's access token; ApiError 401 or 503 as `principal`."""
        try:
            return principal_from_token(await self._verifier.verify(token))
        except InvalidToken as failure:
            code = "token_expired" if "expired" in str(failure) else "invalid_token"
            raise unauthorized(str(failure), code=code) from failure
        except KeysUnavailable as failure:
            raise keys_unavailable() from failure


def bearer(authorization: str) -> str:
    """The credential of an `Authorization: Bearer` header, or an empty text."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


async def require_token(request: Request) -> Principal:
    """FastAPI dependency: any authenticated caller. The guard is `app.state.guard`."""
    state = request.scope.setdefault("state", {})
    known = state.get("principal")
    if isinstance(known, Principal):
        return known
    guard: Guard = request.app.state.guard
    principal = await guard.principal(request.scope)
    state["principal"] = principal
    return principal


async def require_admin(request: Request) -> Principal:
    """FastAPI dependency: an application administrator, else 403 (contract/identity.md, section 9)."""
    principal = await require_token(request)
    if not principal.is_admin:
        raise forbidden("Admin access required")
    return principal


__all__ = ["ApiError", "Guard", "KeyResolver", "bearer", "require_admin", "require_token"]
