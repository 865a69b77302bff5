"""Models: what is known of each in the catalogue, and which provider offers it under which name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Integer, Text, UniqueConstraint
from sqlmodel import Field

from jan_server.http.ids import public_id
from jan_server.services.llm_api.tables import SCHEMA, StampedTable

MODEL_ID_LENGTH = 255


class ModelCatalog(StampedTable, table=True):
    """What is known of one model, whoever offers it.

    `status` is `init` (only the id is known), `filled` (from a rich provider list) or `updated`
    (edited by an administrator, and therefore never overwritten by a sync).
    """

    __tablename__ = "model_catalogs"

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(max_length=MODEL_ID_LENGTH, unique=True)
    model_display_name: str = Field(max_length=255)
    description: str | None = Field(default=None, sa_type=Text)
    notes: str | None = Field(default=None, sa_type=Text)
    tags: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    supported_parameters: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    architecture: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    extras: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    context_length: int | None = None
    is_moderated: bool | None = None
    active: bool = Field(default=True)
    status: str = Field(default="init", max_length=32)
    family: str | None = Field(default=None, max_length=128)
    experimental: bool = Field(default=False)
    requires_feature_flag: str | None = Field(default=None, max_length=50)
    supports_images: bool = Field(default=False)
    supports_embeddings: bool = Field(default=False)
    supports_reasoning: bool = Field(default=False)
    supports_instruct: bool = Field(default=False)
    supports_audio: bool = Field(default=False)
    supports_video: bool = Field(default=False)
    supports_tools: bool = Field(default=True)
    supports_browser: bool = Field(default=False)
    last_synced_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class ProviderModel(StampedTable, table=True):
    """One model as one provider offers it.

    `vanished_at` is set while the engine of this installation no longer serves the model; it
    then cannot be called, and comes back by itself when the engine serves it again.
    """

    __tablename__ = "provider_models"
    __table_args__ = (UniqueConstraint("provider_id", "model_public_id"),)

    id: int | None = Field(default=None, primary_key=True)
    public_id: str = Field(default_factory=lambda: public_id("pmdl"), max_length=64, unique=True)
    provider_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.providers.id", ondelete="CASCADE"), nullable=False)
    )
    model_catalog_id: int | None = Field(
        default=None,
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.model_catalogs.id", ondelete="SET NULL"), index=True),
    )
    kind: str = Field(max_length=64)
    model_public_id: str = Field(max_length=MODEL_ID_LENGTH, index=True)
    provider_original_model_id: str = Field(max_length=255)
    model_display_name: str = Field(max_length=255)
    category: str = Field(default="", max_length=128)
    category_order_number: int = Field(default=0)
    model_order_number: int = Field(default=0)
    pricing: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    token_limits: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    default_parameters: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    active: bool = Field(default=True)
    instruct_model_id: int | None = Field(
        default=None,
        sa_column=Column(Integer, ForeignKey(f"{SCHEMA}.provider_models.id", ondelete="SET NULL")),
    )
    supports_auto_mode: bool = Field(default=False)
    supports_thinking_mode: bool = Field(default=False)
    default_conversation_mode: str = Field(default="standard", max_length=32)
    reasoning_config: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    provider_flags: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    vanished_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
