"""Routes of models, their notice, and how many requests a provider takes at a time."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0009"
down_revision = "llm_api_0008"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Create the table, let it notify like models, and add the limits to providers."""
    op.create_table(
        "model_routes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("targets", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("fallback_on", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("source", sa.String(20), nullable=False, server_default="api"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_model_routes"),
        sa.UniqueConstraint("public_id", name="uq_model_routes_public_id"),
        schema=SCHEMA,
    )
    op.create_index(
        "uq_model_routes_name",
        "model_routes",
        ["name"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("deleted_at is null"),
    )
    op.execute(
        f"create trigger notify_models after insert or update or delete on {SCHEMA}.model_routes "
        f"for each statement execute function {SCHEMA}.notify_models()"
    )
    op.add_column("providers", sa.Column("max_concurrent_requests", sa.Integer), schema=SCHEMA)
    op.add_column(
        "providers",
        sa.Column("max_queued_requests", sa.Integer, nullable=False, server_default="100"),
        schema=SCHEMA,
    )
    op.add_column(
        "providers",
        sa.Column("queue_timeout_seconds", sa.Float, nullable=False, server_default="30"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop the table and the limits."""
    for column in ("queue_timeout_seconds", "max_queued_requests", "max_concurrent_requests"):
        op.drop_column("providers", column, schema=SCHEMA)
    op.drop_table("model_routes", schema=SCHEMA)
