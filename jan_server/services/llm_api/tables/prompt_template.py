"""Prompt templates, and which of them a model uses in place of the global ones."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, ForeignKey, Index, String, Table, Text, UniqueConstraint, Uuid
from sqlmodel import Field

from jan_server.services.llm_api.tables import SCHEMA, LlmApiTable, StampedTable
from jan_server.services.llm_api.tables.model import MODEL_ID_LENGTH


class PromptTemplateRow(StampedTable, table=True):
    """One text; several may share a key, of which the oldest active one counts.

    The authors are the subjects of whoever wrote it, people or keys; empty for the program itself.
    """

    __tablename__ = "prompt_templates"
    __table_args__ = (Index(None, "template_key", "created_at"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    public_id: str = Field(max_length=128, unique=True)
    name: str = Field(max_length=255)
    description: str = Field(default="", sa_type=Text)
    category: str = Field(max_length=100)
    template_key: str = Field(max_length=100)
    content: str = Field(sa_type=Text)
    variables: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column("metadata", JSON, nullable=False))
    is_active: bool = True
    is_system: bool = False
    version: int = 1
    created_by: str = Field(default="", max_length=255)
    updated_by: str = Field(default="", max_length=255)


class ModelPromptTemplateRow(StampedTable, table=True):
    """One model's own choice of a template for a key."""

    __tablename__ = "model_prompt_templates"
    __table_args__ = (UniqueConstraint("model_catalog_public_id", "template_key"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    model_catalog_public_id: str = Field(
        sa_column=Column(
            String(MODEL_ID_LENGTH),
            ForeignKey(f"{SCHEMA}.model_catalogs.public_id", ondelete="CASCADE", onupdate="CASCADE"),
            nullable=False,
        )
    )
    template_key: str = Field(max_length=100)
    prompt_template_id: UUID = Field(
        sa_column=Column(
            Uuid, ForeignKey(f"{SCHEMA}.prompt_templates.id", ondelete="CASCADE"), nullable=False, index=True
        )
    )
    priority: int = 0
    is_active: bool = True
    created_by: str = Field(default="", max_length=255)
    updated_by: str = Field(default="", max_length=255)


PROMPT_TEMPLATES: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.prompt_templates"]
MODEL_PROMPT_TEMPLATES: Table = LlmApiTable.metadata.tables[f"{SCHEMA}.model_prompt_templates"]
"""The tables themselves, for statements that need no mapped objects."""
