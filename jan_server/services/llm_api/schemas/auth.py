"""What travels on the `/auth` routes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class GuestLogin(BaseModel):
    """A new guest and its first tokens; `expires_in` counts seconds."""

    user_id: str
    username: str
    principal_id: str
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


class RefreshToken(BaseModel):
    """A refresh token."""

    refresh_token: str = ""


class Tokens(BaseModel):
    """New tokens; `expires_in` counts seconds, `expires_at` is the same as a moment."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    expires_at: datetime


class LoggedOut(BaseModel):
    """The session has ended."""

    status: Literal["logged out"] = "logged out"


class LoginStarted(BaseModel):
    """Where a browser starts its log-in, and the state that comes back with it."""

    authorization_url: str
    state: str


class Validated(BaseModel):
    """A token that holds, and what the identity server says about its owner."""

    valid: Literal[True] = True
    user_info: dict[str, Any]


class TokenToRevoke(BaseModel):
    """The refresh token that is to end."""

    refresh_token: str = Field(min_length=1)


class Revoked(BaseModel):
    """The token has ended."""

    message: Literal["Token revoked successfully"] = "Token revoked successfully"


class UpgradeRequest(BaseModel):
    """What a guest tells about itself to be registered."""

    email: str = Field(description="Becomes the log-in name; not verified by this alone.")
    full_name: str = Field("", max_length=255)
    username: str = Field("", description="Accepted and ignored: names cannot be changed.")
    password: str | None = Field(
        None, min_length=8, max_length=256, description="Lets the user log in again without a refresh token."
    )


class Upgraded(BaseModel):
    """The guest is registered; tokens that are out keep their claims until they are refreshed.

    New tokens are there when the guest chose a password.
    """

    status: Literal["upgraded"] = "upgraded"
    email_verification: Literal["sent", "pending", "failed"] | None = Field(
        None, description="What became of the mail that proves the address; only where mail is set up."
    )
    access_token: str | None = None
    refresh_token: str | None = None
    token_type: str | None = None
    expires_in: int | None = None
    expires_at: datetime | None = None


class ProofToken(BaseModel):
    """The token of a link that was sent by mail."""

    token: str = Field("", max_length=256)


class EmailProved(BaseModel):
    """The address is its owner's."""

    status: Literal["verified"] = "verified"
    email: str


class Me(BaseModel):
    """Whom the service takes the caller for."""

    id: str = Field(description="The subject, or the local user id for a caller with an API key.")
    username: str | None = None
    email: str | None = None
    subject: str
    auth_method: Literal["jwt", "apikey"]
    name: str | None = None
    roles: list[str] | None = None
    groups: list[str] | None = None
    feature_flags: list[str] | None = None
    guest: bool
    is_admin: bool
