"""What travels on the routes of API keys."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.response_cache import LONGEST_SECONDS, CacheWish
from jan_server.services.llm_api.schemas.usage import money_text
from jan_server.services.llm_api.usage_limits import LIMIT_NAMES, UsageLimits


def _plain(text: str) -> str:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("must not hold control characters")
    return text


PlainText = AfterValidator(_plain)
"""One line of text; PostgreSQL could not even store a null character."""

NANOSECONDS_PER_MICROSECOND = 1000
NANOSECONDS_PER_SECOND = 1_000_000_000
# Far beyond the longest life of a key, and well within what a timedelta can hold.
LONGEST_DAYS = 36_500


ModelPattern = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), PlainText
]


class CacheChoice(BaseModel):
    """Whether answers may be used again, for requests that say nothing about it themselves."""

    model_config = ConfigDict(extra="forbid")

    ttl: int = Field(ge=1, le=LONGEST_SECONDS, strict=True, description="For how many seconds.")
    shared: StrictBool = Field(False, description="Whether other users get them too, who say the same.")


class LimitsGiven(BaseModel):
    """Limits of a key or a user; null takes one away, what is left out stays."""

    project_id: Annotated[str, StringConstraints(pattern=r"^proj_[0-9a-z]{1,45}$")] | None = Field(
        None, description="A project of the key's owner, for which calls outside of projects count."
    )
    allowed_models: Annotated[list[ModelPattern], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Patterns of model ids, with `*` and `?`."
    )
    denied_models: Annotated[list[ModelPattern], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Patterns of models that are refused, allowed or not."
    )
    cache: CacheChoice | None = None
    requests_per_minute: int | None = Field(None, ge=1, le=2**31 - 1)
    tokens_per_minute: int | None = Field(None, ge=1, le=2**53)
    budget_usd: Decimal | None = Field(None, ge=0, le=10**9, max_digits=19, decimal_places=10)
    budget_tokens: int | None = Field(None, ge=0, le=2**53)
    budget_period: Literal["day", "month"] | None = Field(
        None, description="When budgets begin anew, in UTC: `month` unless it is given."
    )

    @property
    def gives_limits(self) -> bool:
        """Whether any limit is mentioned."""
        return bool(self.model_fields_set & set(LIMIT_NAMES))

    def applied(self, limits: UsageLimits, *, managed: bool) -> UsageLimits:
        """Limits with these changes.

        Args:
            limits: As they were.
            managed: Whether an administrator makes the changes.
        """
        changes: dict[str, Any] = {
            name: getattr(self, name) for name in self.model_fields_set & set(LIMIT_NAMES)
        }
        for name in ("allowed_models", "denied_models"):
            if changes.get(name) is not None:
                changes[name] = tuple(changes[name])
        if self.cache is not None:
            changes["cache"] = CacheWish(self.cache.ttl, self.cache.shared)
        if "budget_period" in changes:
            changes["budget_period"] = changes["budget_period"] or "month"
        return replace(limits, **changes, managed=managed or limits.managed)


class LifeGiven(BaseModel):
    """How long a key works, said in one of two ways."""

    expires_in: int | None = Field(
        None, description="Life in nanoseconds, at least one second; nothing or 0 means the default."
    )
    expires_in_days: int | None = Field(None, description="The same in days; give one of the two.")

    @field_validator("expires_in")
    @classmethod
    def _not_in_seconds(cls, nanoseconds: int | None) -> int | None:
        if nanoseconds is not None and 0 < nanoseconds < NANOSECONDS_PER_SECOND:
            raise PydanticCustomError(
                "too_short",
                "counts nanoseconds: at least 1000000000, one second; expires_in_days takes days",
            )
        return nanoseconds

    @model_validator(mode="after")
    def _one_life(self) -> Self:
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


class NewApiKey(LimitsGiven, LifeGiven):
    """A wanted key."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "ci",
                "expires_in_days": 30,
                "allowed_models": ["openai/*"],
                "requests_per_minute": 60,
                "budget_usd": "25",
                "budget_period": "month",
            }
        }
    )

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), PlainText]


class NewOwnedApiKey(NewApiKey):
    """A wanted key of somebody else."""

    owner: Annotated[str, StringConstraints(min_length=1, max_length=320), PlainText] | None = Field(
        None,
        description="The local number, the username or the e-mail address of its owner; else the caller.",
    )


_ENDS = frozenset({"expires_at", "expires_in", "expires_in_days"})


class ApiKeyChanges(LimitsGiven, LifeGiven):
    """What to change of a key; what is left out stays."""

    expires_at: AwareDatetime | None = Field(
        None, description="When it ends; null takes the end away, which only administrators can do."
    )

    name: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), PlainText]
        | None
    ) = None

    @property
    def changes_life(self) -> bool:
        """Whether the end of the key is mentioned."""
        return bool(self.model_fields_set & _ENDS)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if len(self.model_fields_set & _ENDS) > 1:
            raise ValueError("give one of expires_at, expires_in (nanoseconds) and expires_in_days")
        return self


class LimitsInfo(BaseModel):
    """The limits of a key or a user; those that there are."""

    project_id: str | None = None
    allowed_models: list[str] | None = None
    denied_models: list[str] | None = None
    cache: CacheChoice | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget_usd: str | None = Field(None, description="A decimal in text.")
    budget_tokens: int | None = None
    budget_period: Literal["day", "month"] | None = Field(None, description="Only with a budget.")


class UserLimitsInfo(LimitsInfo):
    """The limits of a user, which hold for all credentials of that user together."""

    user_id: int


def limits_members(limits: UsageLimits) -> dict[str, Any]:
    """Limits as they travel."""
    return {
        "project_id": limits.project_id,
        "allowed_models": None if limits.allowed_models is None else list(limits.allowed_models),
        "denied_models": None if limits.denied_models is None else list(limits.denied_models),
        "cache": None if limits.cache is None else asdict(limits.cache),
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "budget_usd": None if limits.budget_usd is None else money_text(limits.budget_usd),
        "budget_tokens": limits.budget_tokens,
        "budget_period": limits.budget_period if limits.has_budget else None,
    }


class ApiKeyInfo(LimitsInfo):
    """A key as its owner may see it: never with its secret."""

    id: UUID
    name: str
    prefix: str
    suffix: str
    created_at: datetime
    expires_at: datetime | None = Field(None, description="Left out where the key has no end.")
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    status: Literal["active", "expired", "revoked"]
    limits_managed: Literal[True] | None = Field(
        None, description="True when only administrators can change the limits."
    )


class CreatedApiKey(ApiKeyInfo):
    """A new key, with the secret that is shown this once."""

    key: str


class ApiKeyList(BaseModel):
    """All keys of a user, the newest first."""

    items: list[ApiKeyInfo]


class OwnedApiKeyInfo(ApiKeyInfo):
    """A key with its owner, as administrators see it."""

    user_id: int
    username: str
    email: str


class CreatedOwnedApiKey(OwnedApiKeyInfo):
    """A new key with its owner, and with the secret that is shown this once."""

    key: str


class OwnedApiKeyList(BaseModel):
    """A page of all keys, the newest first."""

    items: list[OwnedApiKeyInfo]
    total: int


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
