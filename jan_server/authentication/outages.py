"""What callers get while the identity server is away: 503 with a code of its own, and when to come back."""

from __future__ import annotations

from jan_server.http.errors import ApiError, unavailable

CODE = "identity_unavailable"
RETRY_AFTER_SECONDS = 2


def identity_unavailable(
    message: str = "the identity server cannot be reached; try again shortly",
) -> ApiError:
    """The 503 of whatever needs the identity server while it does not answer."""
    error = unavailable(message)
    error.code = CODE
    error.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return error


def keys_unavailable() -> ApiError:
    """The 503 of a token whose signing key cannot be looked up: nobody can tell whether it is good."""
    return identity_unavailable("the identity server's signing keys cannot be fetched; try again shortly")
