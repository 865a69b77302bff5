"""What travels on the routes with which administrators keep providers, models and the catalogue."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.prices import MOST_MICRO_USD
from jan_server.services.llm_api.schemas.models import CatalogInfo, ProviderInfo
from jan_server.services.llm_api.schemas.plain_text import PlainText

MOST_EXCEPTED = 1000
MOST_REQUESTS = 1_000_000
LONGEST_WAIT_SECONDS = 3600

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^\x00]*$")
]
Category = Literal["llm", "image", "embedding"]
ModelIds = Annotated[list[str], Field(max_length=MOST_EXCEPTED)]


class EndpointGiven(BaseModel):
    """One address of a provider."""

    url: str
    weight: int = Field(1, ge=0)
    priority: int = Field(0, ge=0)


Endpoints = str | list[EndpointGiven | str]


class ProviderChanges(BaseModel):
    """What to change of a provider; what is left out stays."""

    name: Name | None = None
    base_url: str | None = None
    url: str | None = Field(None, description="Another name of `base_url`.")
    endpoints: Endpoints | None = Field(
        None, description="Wins over `base_url`; a text may be one address, a comma list or a JSON list."
    )
    api_key: str | None = Field(None, description="An empty text removes the key.")
    metadata: dict[str, str] | None = None
    active: bool | None = None
    default_provider_image_generate: bool | None = None
    default_provider_image_edit: bool | None = None
    max_concurrent_requests: int | None = Field(
        None,
        ge=1,
        le=MOST_REQUESTS,
        description="How many requests it gets at a time from one process, streams included; null for any "
        "number.",
    )
    max_queued_requests: int | None = Field(
        None,
        ge=0,
        le=MOST_REQUESTS,
        description="How many requests wait for a place at the most, 100 by default; further ones get 429.",
    )
    queue_timeout_seconds: float | None = Field(
        None,
        gt=0,
        le=LONGEST_WAIT_SECONDS,
        allow_inf_nan=False,
        description="How long a request waits, 30 seconds by default; then it gets 429.",
    )

    @property
    def limits(self) -> dict[str, Any]:
        """The given limits by the names of their columns; a null takes the first one away."""
        names = ("max_concurrent_requests", "max_queued_requests", "queue_timeout_seconds")
        given = {name: getattr(self, name) for name in names if name in self.model_fields_set}
        return {name: value for name, value in given.items() if value is not None or name == names[0]}

    @property
    def addresses(self) -> Any:
        """The addresses in whichever form they were given; None without any."""
        given = self.endpoints or self.base_url or self.url
        if isinstance(given, list):
            return [entry.model_dump() if isinstance(entry, EndpointGiven) else entry for entry in given]
        return given


class NewProvider(ProviderChanges):
    """A wanted provider; it is asked for its models before anything is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"name": "Team vLLM", "vendor": "vllm", "base_url": "http://10.0.0.5:8000/v1"}
        }
    )

    name: Name
    vendor: Name
    category: Category = "llm"
    active: bool = True

    @model_validator(mode="after")
    def _has_address(self) -> NewProvider:
        if not self.addresses:
            raise PydanticCustomError("no_address", "base_url, url or endpoints is required")
        return self


class Price(BaseModel):
    """One price in millionths of a dollar."""

    unit: Literal[
        "per_1k_prompt_tokens",
        "per_1k_completion_tokens",
        "per_request",
        "per_image",
        "per_web_search",
        "per_internal_reasoning",
    ]
    amount_micro_usd: int = Field(ge=0, le=MOST_MICRO_USD)
    currency: str = Field("USD", max_length=8)


class Pricing(BaseModel):
    """The prices of a model; null where they are unknown."""

    lines: list[Price] | None = None


class TokenLimits(BaseModel):
    """How much a model takes and gives."""

    context_length: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)


class DefaultParameters(BaseModel):
    """What a model gets where a chat or a completion says nothing; wins over the catalogue's defaults."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    temperature: float | None = Field(None, ge=0, le=5)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)
    top_k: int | None = Field(None, ge=-1, le=2**31 - 1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)


class ProviderModelInfo(BaseModel):
    """A model as its provider offers it."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    provider_id: str
    provider_vendor: str
    model_catalog_id: str | None = None
    model_public_id: str
    provider_original_model_id: str
    model_display_name: str
    category: str
    category_order_number: int
    model_order_number: int
    pricing: Pricing
    token_limits: TokenLimits | None = None
    default_parameters: DefaultParameters | None = None
    family: str | None = None
    supports_images: bool
    supports_embeddings: bool
    supports_reasoning: bool
    supports_instruct: bool
    supports_audio: bool
    supports_video: bool
    active: bool
    instruct_model_public_id: str | None = None
    created_at: int
    updated_at: int
    catalog: CatalogInfo | None = Field(None, description="Only with `include_catalog=true`.")


class ProviderModelList(BaseModel):
    """A page of providers' models."""

    data: list[ProviderModelInfo]
    total: int
    limit: int


class CountedProviderInfo(ProviderInfo):
    """A provider with the number of its models."""

    source: Literal["engine", "settings", "file", "api"] = Field(
        description="Who looks after it; providers of `engine` and `settings` are changed in the settings."
    )
    api_key_hint: str = Field(description="The last characters of its key; empty without one.")
    last_synced_at: int | None = Field(description="When it last listed its models, in Unix seconds.")
    model_count: int
    model_active_count: int
    total_models: int | None = Field(None, description="Only with `include_counts=true`.")
    active_models: int | None = None
    api_key_removed: bool | None = Field(
        None, description="The stored key did not move along to another host; give one again."
    )


class RegisteredProviderInfo(CountedProviderInfo):
    """A new provider with the models that it offers."""

    models: list[ProviderModelInfo]


class SyncedProviderInfo(CountedProviderInfo):
    """A provider that was asked for its models."""

    listed_models: int
    added_models: int = Field(description="How many of them are new.")


class EndpointCheckInfo(BaseModel):
    """What came of asking one address of a provider."""

    ok: bool
    url: str
    latency_ms: int = Field(description="How long the answer took, or how long it took to fail.")
    models: int | None = Field(None, description="How many models it listed.")
    message: str = Field(description="What is wrong; empty when it answered.")


class ProviderCheck(BaseModel):
    """Whether a provider answers."""

    ok: bool = Field(description="Whether all of its addresses answered.")
    endpoints: list[EndpointCheckInfo]


class ProviderModelChanges(BaseModel):
    """What to change of a provider's model; what is left out stays."""

    model_config = ConfigDict(protected_namespaces=())

    model_display_name: Name | None = None
    category: Annotated[PlainText, StringConstraints(max_length=128)] | None = None
    category_order_number: int | None = Field(None, ge=0, le=2**31 - 1)
    model_order_number: int | None = Field(None, ge=0, le=2**31 - 1)
    pricing: Pricing | None = None
    token_limits: TokenLimits | None = None
    default_parameters: DefaultParameters | None = None
    active: bool | None = None
    instruct_model_public_id: PlainText | None = Field(None, description="An empty text clears it.")


def _decimal(value: str | int | float | None) -> str | None:
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation as failure:
        raise PydanticCustomError("decimal", "must be a number") from failure
    if not number.is_finite():
        raise PydanticCustomError("decimal", "must be a number")
    return format(number, "f")


Default = Annotated[str | int | float | None, AfterValidator(_decimal)]


class ParametersGiven(BaseModel):
    """Which parameters a model takes, and their defaults."""

    names: list[str] = []
    default: dict[str, Default] = {}


class CatalogChanges(BaseModel):
    """What to change of a catalogue entry; null and empty values clear, what is left out stays."""

    model_config = ConfigDict(protected_namespaces=())

    supported_parameters: ParametersGiven | None = None
    architecture: dict[str, Any] | None = None
    tags: list[str] | None = None
    notes: PlainText | None = None
    description: PlainText | None = None
    is_moderated: bool | None = None
    extras: dict[str, Any] | None = None
    active: bool = True
    experimental: bool = False
    requires_feature_flag: Annotated[PlainText, StringConstraints(max_length=50)] | None = None
    supports_images: bool = False
    supports_embeddings: bool = False
    supports_reasoning: bool = False
    supports_instruct: bool = False
    supports_audio: bool = False
    supports_video: bool = False
    supports_tools: bool = False
    supports_browser: bool = False
    family: Annotated[PlainText, StringConstraints(max_length=128)] | None = None
    context_length: int | None = Field(None, ge=1, le=2**31 - 1)
    model_display_name: Name = ""


class CatalogList(BaseModel):
    """A page of the catalogue."""

    data: list[CatalogInfo]
    total: int
    limit: int


class CatalogToggle(BaseModel):
    """Which catalogue entries to switch; all without `catalog_ids`."""

    enable: bool
    catalog_ids: ModelIds | None = None
    except_models: ModelIds = []


class ProviderModelToggle(BaseModel):
    """Which models to switch; those of all providers without `provider_id`."""

    enable: bool
    provider_id: PlainText | None = None
    provider_model_ids: list[PlainText] | None = Field(
        None, max_length=MOST_EXCEPTED, description="Only these, by their ids (`pmdl_…`); all without it."
    )
    except_models: ModelIds = []


class ToggleOutcome(BaseModel):
    """What a bulk change did."""

    updated_count: int
    skipped_count: int
    failed_count: int = 0
    total_checked: int
