"""What travels on the routes of API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator


def _plain(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("must not hold control characters")
    return text


PlainText = AfterValidator(_plain)
"""One line of text; PostgreSQL could not even store a null character."""

NANOSECONDS_PER_MICROSECOND = 1000
# Far beyond the longest life of a key, and well within what a timedelta can hold.
LONGEST_DAYS = 36_500


class NewApiKey(BaseModel):
    """A wanted key."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), PlainText]
    expires_in: int | None = Field(None, description="Life in nanoseconds; nothing or 0 means the default.")
    expires_in_days: int | None = Field(None, description="The same in days; give one of the two.")

    @model_validator(mode="after")
    def _one_life(self) -> NewApiKey:
        if self.expires_in is not None and self.expires_in_days is not None:
            raise ValueError("give either expires_in (nanoseconds) or expires_in_days, not both")
        return self

    @property
    def life(self) -> timedelta | None:
        """The wanted life; None for the default."""
        longest = timedelta(days=LONGEST_DAYS)
        if self.expires_in_days is not None:
            return timedelta(days=max(0, min(self.expires_in_days, LONGEST_DAYS)))
        if self.expires_in is not None:
            microseconds = max(0, self.expires_in // NANOSECONDS_PER_MICROSECOND)
            return (
                longest
                if microseconds >= longest.total_seconds() * 1e6
                else timedelta(microseconds=microseconds)
            )
        return None


class ApiKeyInfo(BaseModel):
    """A key as its owner may see it: never with its secret."""

    id: UUID
    name: str
    prefix: str
    suffix: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    status: Literal["active", "expired", "revoked"]


class CreatedApiKey(ApiKeyInfo):
    """A new key, with the secret that is shown this once."""

    key: str


class ApiKeyList(BaseModel):
    """All keys of a user, the newest first."""

    items: list[ApiKeyInfo]


class PresentedKey(BaseModel):
    """A key that somebody presented."""

    api_key: str = Field(min_length=1)


class KeyOwnerInfo(BaseModel):
    """A good key's owner: all that a gateway needs to vouch for the request."""

    user_id: str
    subject: str
    username: str
    email: str
    first_name: str
    last_name: str
    roles: list[str]
    groups: list[str]
    feature_flags: list[str]
    guest: bool
    issuer: str
    key_id: str
