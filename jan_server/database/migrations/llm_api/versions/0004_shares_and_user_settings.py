"""Shares of conversations and the settings of users (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "llm_api_0004"
down_revision = "llm_api_0003"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "conversation_shares",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.String(50), nullable=False),
        sa.Column("slug", sa.String(30), nullable=False),
        _reference("conversation_id", "conversations", sa.BigInteger()),
        _reference("user_id", "users", sa.Integer()),
        sa.Column("item_public_id", sa.String(50)),
        sa.Column("title", sa.String(256), nullable=False),
        sa.Column("visibility", sa.String(20), nullable=False, server_default="unlisted"),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("view_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_viewed_at", sa.DateTime(timezone=True)),
        sa.Column("snapshot_version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("snapshot", postgresql.JSON, nullable=False),
        _map("share_options"),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_shares"),
        sa.UniqueConstraint("public_id", name="uq_conversation_shares_public_id"),
        sa.UniqueConstraint("slug", name="uq_conversation_shares_slug"),
        schema=SCHEMA,
    )
    for name, column in (("user", "user_id"), ("conversation", "conversation_id")):
        op.create_index(
            f"ix_conversation_shares_of_{name}",
            "conversation_shares",
            [column, "id"],
            schema=SCHEMA,
        )
    op.create_index(
        "uq_conversation_shares_working",
        "conversation_shares",
        ["conversation_id"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "user_settings",
        sa.Column("id", sa.Integer, nullable=False),
        _reference("user_id", "users", sa.Integer()),
        *(_map(name) for name in ("memory_config", "profile_settings", "advanced_settings", "preferences")),
        sa.Column("enable_trace", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("enable_tools", sa.Boolean, nullable=False, server_default=sa.true()),
        *_stamps(),
        sa.PrimaryKeyConstraint("id", name="pk_user_settings"),
        sa.UniqueConstraint("user_id", name="uq_user_settings_user_id"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop the two tables."""
    for table in ("user_settings", "conversation_shares"):
        op.drop_table(table, schema=SCHEMA)


def _reference(column: str, table: str, kind: sa.types.TypeEngine[int]) -> sa.Column[int]:
    return sa.Column(column, kind, sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete="CASCADE"), nullable=False)


def _map(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb"))


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        for name in ("created_at", "updated_at")
    ]
