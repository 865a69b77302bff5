"""Log-in through the browser: authorization code with PKCE, from its start to its tokens.

The state and the PKCE verifier wait in the database, so that any replica can take the
callback and a restart loses nobody. A cookie tells the browser that began a log-in from others,
to which somebody may have sent the address of a callback. Source: contract/llm-api.md, sections
6.4 and 6.5; RFC 7636; RFC 9700, sections 2.1 and 4.1 (redirects only to registered addresses).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, unquote, urlencode, urlsplit, urlunsplit

from sqlalchemy import delete
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.services.llm_api.identity_server import IdentityServer, TokenSet
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.login_state import LoginState

LIFETIME = timedelta(minutes=10)
RANDOM_BYTES = 32
COOKIE_PREFIX = "jan_login_"
COOKIE_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StartedLogin:
    """Where the browser has to go, and the state that will come back with it."""

    authorization_url: str
    state: str


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What waited for a callback."""

    verifier: str
    redirect_url: str


def is_allowed_redirect(url: str, allowed: Sequence[str]) -> bool:
    """Whether a browser may be sent to `url` with tokens.

    Args:
        url: The wanted address.
        allowed: Whole addresses; one that ends in `*` allows every path that begins so.
    """
    if any(character <= " " or character in "\\\x7f" for character in url):
        return False
    try:
        wanted = urlsplit(url)
        if wanted.scheme not in ("http", "https") or not wanted.hostname or "@" in wanted.netloc:
            return False
        return wanted.fragment == "" and any(_matches(wanted, entry) for entry in allowed)
    except ValueError:
        return False


def _matches(wanted: SplitResult, entry: str) -> bool:
    open_end = entry.endswith("*")
    given = urlsplit(entry.removesuffix("*"))
    if (wanted.scheme, wanted.hostname, _port(wanted)) != (given.scheme, given.hostname, _port(given)):
        return False
    path, prefix = wanted.path or "/", given.path or "/"
    if ".." in unquote(path).split("/"):
        return False
    return path.startswith(prefix) if open_end else (path, wanted.query) == (prefix, given.query)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


async def begin_login(session: AsyncSession, server: IdentityServer, redirect_url: str) -> StartedLogin:
    """Remember a log-in and say where the browser starts it.

    Args:
        session: The transaction to work in.
        server: Where users log in.
        redirect_url: Where the browser goes in the end; already found to be allowed.
    """
    state = secrets.token_urlsafe(RANDOM_BYTES)
    verifier = secrets.token_urlsafe(RANDOM_BYTES)
    await session.exec(delete(LoginState).where(col(LoginState.expires_at) < now()))
    session.add(
        LoginState(
            state_hash=_hash(state),
            verifier=verifier,
            redirect_url=redirect_url,
            expires_at=now() + LIFETIME,
        )
    )
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return StartedLogin(server.authorization_url(state=state, challenge=challenge), state)


async def take_login(session: AsyncSession, state: str) -> PendingLogin | None:
    """What waited under `state`, which can be taken once; None for an unknown or expired one."""
    taken = await session.exec(
        delete(LoginState)
        .where(col(LoginState.state_hash) == _hash(state))
        .returning(col(LoginState.verifier), col(LoginState.redirect_url), col(LoginState.expires_at))
    )
    row = taken.one_or_none()
    if row is None or row[2] < now():
        return None
    return PendingLogin(verifier=row[0], redirect_url=row[1])


def browser_cookie(state: str) -> tuple[str, str]:
    """Name and value of the cookie of the browser that began a log-in; each log-in has its own."""
    digest = _hash(state)
    return f"{COOKIE_PREFIX}{digest[:COOKIE_DIGITS]}", digest


def with_tokens(redirect_url: str, tokens: TokenSet, state: str) -> str:
    """The final address: tokens ride in the fragment, which browsers send to nobody.

    The state is among them: a page that began the log-in can tell that it is its own.
    """
    fragment = urlencode(
        {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_in": tokens.expires_in,
            "token_type": tokens.token_type,
            "state": state,
        }
    )
    return f"{redirect_url}#{fragment}"


def with_error(redirect_url: str, error: str, description: str) -> str:
    """An address that tells of a failed log-in in its query."""
    parts = urlsplit(redirect_url)
    told = urlencode({"error": error, "error_description": description})
    return urlunsplit(parts._replace(query=f"{parts.query}&{told}" if parts.query else told))


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
