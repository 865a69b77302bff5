"""Calls of tools: who called what, how long it took and how it ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "mcp_tools_0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "mcp_tools"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("tool_name", sa.String(255), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False, server_default=""),
        sa.Column("arguments", JSONB, nullable=False, server_default="{}"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("result_size", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("duration_ms", sa.Float, nullable=False, server_default="0"),
        sa.Column("tool_call_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("conversation_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("request_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_tool_calls"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_tool_calls_user_id_created_at", "tool_calls", ["user_id", "created_at"], schema=SCHEMA
    )
    op.create_index("ix_tool_calls_created_at", "tool_calls", ["created_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("tool_calls", schema=SCHEMA)
