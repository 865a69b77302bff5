"""The client of the identity server: the embedded issuer and Keycloak answer the same calls.

This module is the OpenID Connect side (tokens, userinfo, log-in); accounts and their roles
are administered by `accounts`. Source: contract/identity.md, section 3; OpenID Connect Core
1.0; RFC 6749, RFC 7009 and RFC 7636.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson

from jan_server.services.llm_api.identity_availability import PATIENCE_SECONDS, Availability

TOKEN_MARGIN_SECONDS = 15.0
"""A service account's token is replaced this long before it ends."""

QUOTED_CHARACTERS = 512

LONGEST_SEGMENT = 255
"""Ids and names in paths of the admin API are never longer."""


class IdentityUnavailable(Exception):
    """The identity server does not answer, failed itself, or refuses this service's own account."""


class IdentityForbidden(IdentityUnavailable):
    """The identity server does not let this service's own account do what was asked."""


class IdentityRefused(Exception):
    """The identity server refused a call.

    Args:
        status: Its HTTP status, 400 to 499.
        error: Its error code, for example `invalid_grant`; may be empty.
        description: Its words; may be empty.
        field: The member of a representation that it finds at fault; may be empty.
    """

    def __init__(self, status: int, error: str = "", description: str = "", *, field: str = "") -> None:
        super().__init__(description or error or f"status {status}")
        self.status = status
        self.error = error
        self.description = description
        self.field = field


@dataclass(frozen=True, slots=True)
class IdentityAddress:
    """Where the identity server is and as whom the LLM API speaks to it.

    Attributes:
        base_url: Its address for this service, without a trailing slash.
        public_url: Its address for browsers.
        realm: The realm of the users.
        client_id: The public client of guest log-in, refresh and browser log-in.
        redirect_uri: This service's callback, as registered with the client.
        backend_id: The confidential client whose service account administers users.
        backend_secret: That client's secret.
        timeout_seconds: Longest wait for one answer of a server that does answer others.
    """

    base_url: str
    public_url: str
    realm: str
    client_id: str
    redirect_uri: str
    backend_id: str
    backend_secret: str
    timeout_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a grant yields; `expires_in` counts seconds from now."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the identity server that is not an error."""

    status: int
    body: Any
    location: str


class IdentityServer:
    """One realm of an identity server, over the process's pooled client."""

    def __init__(self, client: aiohttp.ClientSession, address: IdentityAddress) -> None:
        self.address = address
        self._client = client
        self._service_token = ""
        self._service_token_until = 0.0
        self._service_token_lock = asyncio.Lock()
        realm = quote(address.realm, safe="")
        self._protocol = f"/realms/{realm}/protocol/openid-connect"
        self._administration = f"/admin/realms/{realm}"
        self.availability = Availability(client, f"{address.base_url}{self._protocol}/certs")

    # -- tokens ---------------------------------------------------------------------------

    async def password_grant(self, username: str, password: str) -> TokenSet:
        """Log a user in by password at the public client.

        Raises:
            IdentityRefused: Wrong credentials, or an account that may not log in.
            IdentityUnavailable: No answer.
        """
        return await self._grant(
            grant_type="password", username=username, password=password, scope="openid profile email"
        )

    async def refresh(self, refresh_token: str) -> TokenSet:
        """New tokens for a refresh token; raises as `password_grant`."""
        return await self._grant(grant_type="refresh_token", refresh_token=refresh_token)

    async def exchange_code(self, code: str, verifier: str) -> TokenSet:
        """Tokens for the code of a browser log-in; raises as `password_grant`."""
        return await self._grant(
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri=self.address.redirect_uri,
        )

    async def logout(self, refresh_token: str) -> None:
        """End the session that a refresh token belongs to; raises as `password_grant`."""
        await self._call(
            "POST",
            f"{self._protocol}/logout",
            form={"client_id": self.address.client_id, "refresh_token": refresh_token},
        )

    async def revoke(self, refresh_token: str) -> None:
        """Revoke a refresh token (RFC 7009); raises as `password_grant`."""
        await self._call(
            "POST",
            f"{self._protocol}/revoke",
            form={
                "client_id": self.address.client_id,
                "token": refresh_token,
                "token_type_hint": "refresh_token",
            },
        )

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """The claims about the holder of an access token; raises as `password_grant`."""
        answer = await self._call("GET", f"{self._protocol}/userinfo", token=access_token)
        return answer.body if isinstance(answer.body, dict) else {}

    async def check_available(self) -> None:
        """Raise IdentityUnavailable when the server does not answer right now."""
        if self.availability.away or not await self.availability.answers():
            raise IdentityUnavailable("the identity server does not answer")

    def authorization_url(self, *, state: str, challenge: str) -> str:
        """Where a browser starts a log-in (authorization code with PKCE, S256)."""
        query = {
            "response_type": "code",
            "client_id": self.address.client_id,
            "redirect_uri": self.address.redirect_uri,
            "scope": "openid",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self.address.public_url}{self._protocol}/auth?{urlencode(query)}"

    async def _grant(self, **form: str) -> TokenSet:
        answer = await self._call(
            "POST", f"{self._protocol}/token", form={"client_id": self.address.client_id, **form}
        )
        return _token_set(answer.body)

    # -- administration -------------------------------------------------------------------

    async def administer(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Answer:
        """Call the realm's admin API as the service account.

        Args:
            method: HTTP method.
            path: Path below `/admin/realms/<realm>`, beginning with a slash (see `path_of`).
            body: Plain data that is sent as JSON.
            query: Query parameters.

        Raises:
            IdentityRefused: The call was refused (404 for something unknown, 409 for a duplicate).
            IdentityForbidden: The service account lacks the right.
            IdentityUnavailable: No answer.
        """
        where = self._administration + path
        token = await self._service_account_token()
        try:
            return await self._call(method, where, body=body, query=query, token=token)
        except IdentityRefused as refusal:
            if refusal.status == 403:
                raise _lacks_right(refusal, method, path) from refusal
            if refusal.status != 401:
                raise
        # The token was refused before its time: signing keys or sessions changed over there.
        if self._service_token == token:
            self._service_token_until = 0.0
        token = await self._service_account_token()
        try:
            return await self._call(method, where, body=body, query=query, token=token)
        except IdentityRefused as refusal:
            if refusal.status == 403:
                raise _lacks_right(refusal, method, path) from refusal
            if refusal.status == 401:
                raise _service_account_refused(refusal) from refusal
            raise

    async def _service_account_token(self) -> str:
        if time.monotonic() < self._service_token_until:
            return self._service_token
        async with self._service_token_lock:
            if time.monotonic() >= self._service_token_until:
                form = {
                    "grant_type": "client_credentials",
                    "client_id": self.address.backend_id,
                    "client_secret": self.address.backend_secret,
                }
                try:
                    answer = await self._call("POST", f"{self._protocol}/token", form=form)
                except IdentityRefused as refusal:
                    raise _service_account_refused(refusal) from refusal
                tokens = _token_set(answer.body)
                self._service_token = tokens.access_token
                self._service_token_until = time.monotonic() + tokens.expires_in - TOKEN_MARGIN_SECONDS
            return self._service_token

    # -- transport ------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Answer:
        if self.availability.away:
            raise IdentityUnavailable("the identity server did not answer a moment ago")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        call = asyncio.ensure_future(self._send(method, path, form, body, query, headers))
        try:
            done, _ = await asyncio.wait({call}, timeout=PATIENCE_SECONDS)
            # One that is slow is waited for; one that answers nobody is not.
            if not done and not await self.availability.answers() and not call.done():
                raise IdentityUnavailable("the identity server does not answer")
            status, content, location = await call
        finally:
            call.cancel()
        if status >= 500:
            raise IdentityUnavailable(f"the identity server answered {status}: {_quoted(content)}")
        if status >= 400:
            raise _refusal(status, content)
        return Answer(status, _parsed(content), location)

    async def _send(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None,
        body: Any,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes, str]:
        """Status, content and `Location` of the answer; raises IdentityUnavailable without one."""
        again = True
        while True:
            try:
                async with self._client.request(
                    method,
                    self.address.base_url + path,
                    data=form,
                    json=body,
                    params=query,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=self.address.timeout_seconds),
                    allow_redirects=False,
                ) as response:
                    return response.status, await response.read(), response.headers.get("Location", "")
            except (aiohttp.ServerDisconnectedError, ConnectionResetError) as failure:
                # A kept connection may end just when it is used again; a new one tells the truth.
                if not again:
                    raise self._unavailable(failure) from failure
                again = False
            except (aiohttp.ClientError, TimeoutError, OSError) as failure:
                raise self._unavailable(failure) from failure

    def _unavailable(self, failure: Exception) -> IdentityUnavailable:
        self.availability.lost()
        reason = str(failure) or type(failure).__name__
        return IdentityUnavailable(f"the identity server does not answer: {reason}")


def path_of(*segments: str) -> str:
    """A path of the admin API, its segments quoted.

    Raises:
        IdentityRefused: 404 for a segment that no id or name can be, such as `..`, which would lead
            to another resource.
    """
    for segment in segments:
        if not segment.strip(".") or len(segment) > LONGEST_SEGMENT or not segment.isprintable():
            raise IdentityRefused(404, "Not found")
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def _lacks_right(refusal: IdentityRefused, method: str, path: str) -> IdentityForbidden:
    return IdentityForbidden(
        f"the identity server refused ({refusal}): BACKEND_CLIENT_ID lacks the right to {method} {path}; "
        "whoever has rights to manage the realm is kept at the identity server itself"
    )


def _service_account_refused(refusal: IdentityRefused) -> IdentityUnavailable:
    return IdentityUnavailable(
        f"the identity server refuses the service account ({refusal.status}: {refusal}); "
        "check BACKEND_CLIENT_ID and BACKEND_CLIENT_SECRET"
    )


def _token_set(body: Any) -> TokenSet:
    if not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
        raise IdentityUnavailable("the identity server answered a grant without an access token")
    return TokenSet(
        access_token=body["access_token"],
        refresh_token=str(body.get("refresh_token", "")),
        token_type=str(body.get("token_type", "Bearer")),
        expires_in=int(body.get("expires_in", 0)),
    )


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _refusal(status: int, content: bytes) -> IdentityRefused:
    body = _parsed(content)
    if not isinstance(body, dict):
        return IdentityRefused(status, "", _quoted(content))
    description = body.get("error_description") or body.get("errorMessage") or ""
    return IdentityRefused(
        status,
        str(body.get("error", "")),
        str(description)[:QUOTED_CHARACTERS],
        field=str(body.get("field") or ""),
    )


def _quoted(content: bytes) -> str:
    return content[:QUOTED_CHARACTERS].decode("utf-8", "replace")
