"""Providers and models, and the notice of their changes (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0003"
down_revision = "llm_api_0002"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"
TABLES = ("providers", "model_catalogs", "provider_models")


def upgrade() -> None:
    """Create the three tables, and tell listeners on `llm_api_models` whenever they change."""
    op.create_table(
        "providers",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("category", sa.String(20), nullable=False, server_default="llm"),
        sa.Column("source", sa.String(20), nullable=False, server_default="api"),
        sa.Column("base_url", sa.String(512), nullable=False, server_default=""),
        sa.Column("endpoints", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("encrypted_api_key", sa.Text, nullable=False, server_default=""),
        sa.Column("api_key_hint", sa.String(8), nullable=False, server_default=""),
        *_flags("is_moderated"),
        *_flags("active", default=True),
        *_flags("default_provider_image_generate", "default_provider_image_edit"),
        sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("offered_models", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("last_synced_at", sa.DateTime(timezone=True)),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_providers"),
        sa.UniqueConstraint("public_id", name="uq_providers_public_id"),
        schema=SCHEMA,
    )
    op.create_index("ix_providers_kind", "providers", ["kind"], schema=SCHEMA)
    op.create_table(
        "model_catalogs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String(255), nullable=False),
        sa.Column("model_display_name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("supported_parameters", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("architecture", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("extras", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("context_length", sa.Integer),
        sa.Column("is_moderated", sa.Boolean),
        *_flags("active", default=True),
        sa.Column("status", sa.String(32), nullable=False, server_default="init"),
        sa.Column("family", sa.String(128)),
        *_flags("experimental"),
        sa.Column("requires_feature_flag", sa.String(50)),
        *_flags("supports_images", "supports_embeddings", "supports_reasoning", "supports_instruct"),
        *_flags("supports_audio", "supports_video"),
        *_flags("supports_tools", default=True),
        *_flags("supports_browser"),
        sa.Column("last_synced_at", sa.DateTime(timezone=True)),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_model_catalogs"),
        sa.UniqueConstraint("public_id", name="uq_model_catalogs_public_id"),
        schema=SCHEMA,
    )
    op.create_table(
        "provider_models",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("provider_id", sa.Integer, nullable=False),
        sa.Column("model_catalog_id", sa.Integer),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("model_public_id", sa.String(255), nullable=False),
        sa.Column("provider_original_model_id", sa.String(255), nullable=False),
        sa.Column("model_display_name", sa.String(255), nullable=False),
        sa.Column("category", sa.String(128), nullable=False, server_default=""),
        sa.Column("category_order_number", sa.Integer, nullable=False, server_default="0"),
        sa.Column("model_order_number", sa.Integer, nullable=False, server_default="0"),
        sa.Column("pricing", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("token_limits", sa.JSON),
        *_flags("active", default=True),
        sa.Column("instruct_model_id", sa.Integer),
        *_flags("supports_auto_mode", "supports_thinking_mode"),
        sa.Column("default_conversation_mode", sa.String(32), nullable=False, server_default="standard"),
        sa.Column("reasoning_config", sa.JSON),
        sa.Column("provider_flags", sa.JSON),
        sa.Column("vanished_at", sa.DateTime(timezone=True)),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_provider_models"),
        sa.UniqueConstraint("public_id", name="uq_provider_models_public_id"),
        sa.UniqueConstraint(
            "provider_id", "model_public_id", name="uq_provider_models_provider_id_model_public_id"
        ),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            [f"{SCHEMA}.providers.id"],
            name="fk_provider_models_provider_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_catalog_id"],
            [f"{SCHEMA}.model_catalogs.id"],
            name="fk_provider_models_model_catalog_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["instruct_model_id"],
            [f"{SCHEMA}.provider_models.id"],
            name="fk_provider_models_instruct_model_id",
            ondelete="SET NULL",
        ),
        schema=SCHEMA,
    )
    for column in ("model_catalog_id", "model_public_id"):
        op.create_index(f"ix_provider_models_{column}", "provider_models", [column], schema=SCHEMA)
    op.execute(
        f"""
        create function {SCHEMA}.notify_models() returns trigger language plpgsql as $$
        begin
            perform pg_notify('llm_api_models', '');
            return null;
        end $$
        """
    )
    for table in TABLES:
        op.execute(
            f"create trigger notify_models after insert or update or delete on {SCHEMA}.{table} "
            f"for each statement execute function {SCHEMA}.notify_models()"
        )


def downgrade() -> None:
    """Drop the three tables and the notice."""
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)
    op.execute(f"drop function {SCHEMA}.notify_models()")


def _flags(*names: str, default: bool = False) -> list[sa.Column[bool]]:
    value = sa.true() if default else sa.false()
    return [sa.Column(name, sa.Boolean, nullable=False, server_default=value) for name in names]


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    ]
