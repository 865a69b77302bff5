"""What travels on the routes of models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelInfo(BaseModel):
    """OpenAI's model object, with Jan's members beside it."""

    model_config = ConfigDict(protected_namespaces=())

    id: str = Field(examples=["jan/smollm2-135m-instruct"])
    object: Literal["model"] = "model"
    created: int = Field(description="When the model appeared here, in Unix seconds.")
    owned_by: str = Field(description="The name of its provider.")
    model_display_name: str
    category: str
    category_order_number: int
    model_order_number: int
    provider_id: str | None = Field(None, description="Only with `X-PROVIDER-DATA: true`.")
    provider_vendor: str | None = None
    provider_name: str | None = None


class ModelList(BaseModel):
    """The models that can be called."""

    object: Literal["list"] = "list"
    data: list[ModelInfo]


class AnthropicModel(BaseModel):
    """Anthropic's model object; null is what nobody here knows."""

    type: Literal["model"] = "model"
    id: str = Field(examples=["jan/smollm2-135m-instruct"])
    display_name: str
    created_at: str = Field(description="When the model appeared here.", examples=["2026-11-24T10:00:00Z"])
    lifecycle: Literal["active"] = "active"
    deprecated_at: None = None
    retires_at: None = None
    line: None = None
    capabilities: None = None
    max_input_tokens: int | None
    max_tokens: None = None


class AnthropicModelPage(BaseModel):
    """Models that answer messages, in Anthropic's shape."""

    data: list[AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool


class EndpointInfo(BaseModel):
    """One address of a provider, and whether its last call went well."""

    url: str
    weight: int
    priority: int
    healthy: bool


class ProviderInfo(BaseModel):
    """A provider; for users `base_url` is empty, and `endpoints` and limits are left out."""

    id: str
    name: str
    vendor: str
    base_url: str
    endpoints: list[EndpointInfo] | None = None
    active: bool
    category: str
    default_provider_image_generate: bool
    default_provider_image_edit: bool
    max_concurrent_requests: int | None = Field(
        None, description="How many requests it gets at a time from one process; null for any number."
    )
    max_queued_requests: int | None = Field(None, description="How many wait for a place at the most.")
    queue_timeout_seconds: float | None = Field(None, description="How long one of them waits.")
    metadata: dict[str, str] | None = None


class SupportedParameters(BaseModel):
    """Which parameters a model takes; defaults are decimals in text."""

    names: list[str]
    default: dict[str, str | None]


class Architecture(BaseModel):
    """What a model reads and writes."""

    modality: str
    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: str | None


class CatalogInfo(BaseModel):
    """What is known of one model, whoever offers it."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    public_id: str
    model_display_name: str
    description: str | None = None
    notes: str | None = None
    tags: list[str] | None = None
    extras: dict[str, Any] | None = None
    supported_parameters: SupportedParameters
    architecture: Architecture
    context_length: int | None = None
    is_moderated: bool | None = None
    active: bool
    family: str | None
    status: Literal["init", "filled", "updated"]
    experimental: bool
    requires_feature_flag: str | None = None
    supports_images: bool
    supports_embeddings: bool
    supports_reasoning: bool
    supports_instruct: bool
    supports_audio: bool
    supports_video: bool
    supports_tools: bool
    supports_browser: bool
    created_at: int
    updated_at: int
