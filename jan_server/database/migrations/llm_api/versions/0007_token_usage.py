"""What calls of models used: a row for each, and sums by day (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0007"
down_revision = "llm_api_0006"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Create the two tables; rows outlive what they name, so nothing refers to other tables."""
    op.create_table(
        "token_usage",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("call_id", sa.Uuid, nullable=False),
        *_subject(),
        sa.Column("conversation_id", sa.String(50)),
        *_counted("prompt_tokens", "completion_tokens", "total_tokens"),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("estimated_cost_usd", sa.Numeric(20, 10)),
        sa.Column("latency_ms", sa.Integer, nullable=False),
        sa.Column("first_token_ms", sa.Integer),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False, server_default=""),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_token_usage"),
        sa.UniqueConstraint("call_id", name="uq_token_usage_call_id"),
        schema=SCHEMA,
    )
    for columns in (["user_id", "created_at"], ["key_id", "created_at"], ["created_at"]):
        op.create_index(f"ix_token_usage_{'_'.join(columns)}", "token_usage", columns, schema=SCHEMA)
    op.create_table(
        "token_usage_daily",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("usage_date", sa.Date, nullable=False),
        *_subject(),
        *_counted(
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "estimated_tokens",
            "request_count",
            "failed_count",
        ),
        sa.Column("estimated_cost_usd", sa.Numeric(20, 10), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_token_usage_daily"),
        schema=SCHEMA,
    )
    op.create_index(
        "uq_token_usage_daily",
        "token_usage_daily",
        ["usage_date", "user_id", "key_id", "project_id", "model", "provider"],
        unique=True,
        schema=SCHEMA,
        postgresql_nulls_not_distinct=True,
    )
    for column in ("user_id", "key_id", "project_id"):
        op.create_index(
            f"ix_token_usage_daily_{column}_usage_date",
            "token_usage_daily",
            [column, "usage_date"],
            schema=SCHEMA,
        )


def downgrade() -> None:
    """Drop the two tables."""
    for table in ("token_usage_daily", "token_usage"):
        op.drop_table(table, schema=SCHEMA)


def _subject() -> list[sa.Column[object]]:
    return [
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("key_id", sa.Uuid),
        sa.Column("project_id", sa.String(50)),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("provider", sa.String(255), nullable=False),
    ]


def _counted(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
