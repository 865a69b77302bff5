"""Limits of keys and users, and what they used in the current minute, day and month."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0008"
down_revision = "llm_api_0007"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "usage_limits",
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("managed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("project_id", sa.String(50)),
        sa.Column("allowed_models", sa.JSON),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("budget_usd", sa.Numeric(20, 10)),
        sa.Column("budget_tokens", sa.BigInteger),
        sa.Column("budget_period", sa.String(8), nullable=False, server_default="month"),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.clock_timestamp(),
        ),
        sa.PrimaryKeyConstraint("subject", name="pk_usage_limits"),
        schema=SCHEMA,
    )
    op.create_index("ix_usage_limits_updated_at", "usage_limits", ["updated_at"], schema=SCHEMA)
    op.create_table(
        "usage_counters",
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("period", sa.String(8), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Numeric(20, 10), nullable=False),
        sa.PrimaryKeyConstraint("subject", "period", "starts_at", name="pk_usage_counters"),
        schema=SCHEMA,
    )
    op.create_index("ix_usage_counters_starts_at", "usage_counters", ["starts_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop the two tables."""
    for table in ("usage_counters", "usage_limits"):
        op.drop_table(table, schema=SCHEMA)
