"""Prompt templates, the models' own choices, MCP tools, and notices (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "llm_api_0006"
down_revision = "llm_api_0005"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"
PROMPT_TABLES = ("prompt_templates", "model_prompt_templates")


def upgrade() -> None:
    """Create the three tables, and tell listeners when prompts or somebody's profile settings change."""
    op.create_table(
        "prompt_templates",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("public_id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("category", sa.String(100), nullable=False),
        sa.Column("template_key", sa.String(100), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("variables", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("is_system", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        *_authors(),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_templates"),
        sa.UniqueConstraint("public_id", name="uq_prompt_templates_public_id"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_prompt_templates_template_key_created_at",
        "prompt_templates",
        ["template_key", "created_at"],
        schema=SCHEMA,
    )
    op.create_table(
        "model_prompt_templates",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("model_catalog_public_id", sa.String(255), nullable=False),
        sa.Column("template_key", sa.String(100), nullable=False),
        sa.Column("prompt_template_id", sa.Uuid, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
        *_authors(),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_model_prompt_templates"),
        sa.UniqueConstraint(
            "model_catalog_public_id",
            "template_key",
            name="uq_model_prompt_templates_model_catalog_public_id_template_key",
        ),
        sa.ForeignKeyConstraint(
            ["model_catalog_public_id"],
            [f"{SCHEMA}.model_catalogs.public_id"],
            name="fk_model_prompt_templates_model_catalog_public_id",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["prompt_template_id"],
            [f"{SCHEMA}.prompt_templates.id"],
            name="fk_model_prompt_templates_prompt_template_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_model_prompt_templates_prompt_template_id",
        "model_prompt_templates",
        ["prompt_template_id"],
        schema=SCHEMA,
    )
    op.create_table(
        "admin_mcp_tools",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("public_id", sa.String(128), nullable=False),
        sa.Column("tool_key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("category", sa.String(100), nullable=False, server_default="search"),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("disallowed_keywords", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"),
        *_authors(),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_admin_mcp_tools"),
        sa.UniqueConstraint("public_id", name="uq_admin_mcp_tools_public_id"),
        sa.UniqueConstraint("tool_key", name="uq_admin_mcp_tools_tool_key"),
        schema=SCHEMA,
    )
    op.execute(
        f"""
        create function {SCHEMA}.notify_prompts() returns trigger language plpgsql as $$
        begin
            perform pg_notify('llm_api_prompts', '');
            return null;
        end $$
        """
    )
    for table in PROMPT_TABLES:
        op.execute(
            f"create trigger notify_prompts after insert or update or delete on {SCHEMA}.{table} "
            f"for each statement execute function {SCHEMA}.notify_prompts()"
        )
    op.execute(
        f"""
        create function {SCHEMA}.notify_user_settings() returns trigger language plpgsql as $$
        begin
            perform pg_notify('llm_api_user_settings', coalesce(new.user_id, old.user_id)::text);
            return null;
        end $$
        """
    )
    op.execute(
        f"create trigger notify_user_settings after insert or update or delete on {SCHEMA}.user_settings "
        f"for each row execute function {SCHEMA}.notify_user_settings()"
    )


def downgrade() -> None:
    """Drop the three tables and the notices."""
    op.execute(f"drop trigger notify_user_settings on {SCHEMA}.user_settings")
    op.execute(f"drop function {SCHEMA}.notify_user_settings()")
    for table in ("admin_mcp_tools", *reversed(PROMPT_TABLES)):
        op.drop_table(table, schema=SCHEMA)
    op.execute(f"drop function {SCHEMA}.notify_prompts()")


def _authors() -> list[sa.Column[str]]:
    return [
        sa.Column(name, sa.String(255), nullable=False, server_default="")
        for name in ("created_by", "updated_by")
    ]


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        for name in ("created_at", "updated_at")
    ]
