"""Responses with their conversations, items, events and tool calls (contract/response-api.md, section 11)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "response_api_0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "response_api"


def _moment(name: str, *, always: bool = False) -> sa.Column[object]:
    default = sa.func.now() if always else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not always, server_default=default)


def upgrade() -> None:
    """Create the five tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("metadata", JSONB, nullable=False, server_default="{}"),
        _moment("created_at", always=True),
        _moment("updated_at", always=True),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        sa.UniqueConstraint("public_id", name="uq_conversations_public_id"),
        schema=SCHEMA,
    )
    op.create_table(
        "responses",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        # Who asked, so that work in the background is done in that name; never a credential.
        sa.Column("principal", JSONB, nullable=False, server_default="{}"),
        sa.Column("conversation_id", sa.BigInteger),
        sa.Column("previous_response_id", sa.String(64)),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("background", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("stream", sa.Boolean, nullable=False, server_default=sa.false()),
        # What was asked for, as a run reads it.
        sa.Column("request", JSONB, nullable=False),
        # The response as clients see it, less its output, which is among the items.
        sa.Column("body", JSONB, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        _moment("created_at", always=True),
        _moment("updated_at", always=True),
        _moment("queued_at"),
        _moment("started_at"),
        _moment("heartbeat_at"),
        _moment("cancel_requested_at"),
        _moment("completed_at"),
        _moment("cancelled_at"),
        _moment("failed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_responses"),
        sa.UniqueConstraint("public_id", name="uq_responses_public_id"),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            [f"{SCHEMA}.conversations.id"],
            name="fk_responses_conversation_id",
            ondelete="SET NULL",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_responses_user_id_created_at", "responses", ["user_id", "created_at"], schema=SCHEMA)
    op.create_index("ix_responses_conversation_id", "responses", ["conversation_id", "id"], schema=SCHEMA)
    op.create_index(
        "ix_responses_queue",
        "responses",
        ["queued_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("background and status in ('queued', 'in_progress')"),
    )
    op.create_table(
        "response_items",
        sa.Column("response_id", sa.BigInteger, nullable=False),
        # 'input' or 'output'; output grows while the response is made.
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String(128), nullable=False),
        sa.Column("item", JSONB, nullable=False),
        _moment("created_at", always=True),
        sa.PrimaryKeyConstraint("response_id", "kind", "position", name="pk_response_items"),
        sa.ForeignKeyConstraint(
            ["response_id"],
            [f"{SCHEMA}.responses.id"],
            name="fk_response_items_response_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_response_items_public_id", "response_items", ["public_id"], schema=SCHEMA)
    op.create_table(
        "response_events",
        sa.Column("response_id", sa.BigInteger, nullable=False),
        sa.Column("sequence_number", sa.Integer, nullable=False),
        sa.Column("event", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("response_id", "sequence_number", name="pk_response_events"),
        sa.ForeignKeyConstraint(
            ["response_id"],
            [f"{SCHEMA}.responses.id"],
            name="fk_response_events_response_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "tool_executions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("response_id", sa.BigInteger, nullable=False),
        sa.Column("call_id", sa.String(128), nullable=False),
        sa.Column("tool_name", sa.String(255), nullable=False),
        sa.Column("arguments", JSONB, nullable=False, server_default="{}"),
        sa.Column("result", JSONB),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error_message", sa.Text, nullable=False, server_default=""),
        sa.Column("execution_order", sa.Integer, nullable=False),
        _moment("created_at", always=True),
        _moment("updated_at", always=True),
        sa.PrimaryKeyConstraint("id", name="pk_tool_executions"),
        sa.UniqueConstraint("response_id", "call_id", name="uq_tool_executions_response_id_call_id"),
        sa.ForeignKeyConstraint(
            ["response_id"],
            [f"{SCHEMA}.responses.id"],
            name="fk_tool_executions_response_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("tool_executions", "response_events", "response_items", "responses", "conversations"):
        op.drop_table(table, schema=SCHEMA)
