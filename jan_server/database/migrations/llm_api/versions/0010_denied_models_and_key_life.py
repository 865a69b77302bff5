"""Denied models and the answers' cache of keys and users, keys without an end, and what a call was for."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0010"
down_revision = "llm_api_0009"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Add the columns; every key may end later, or never."""
    op.add_column("usage_limits", sa.Column("denied_models", sa.JSON), schema=SCHEMA)
    op.add_column("usage_limits", sa.Column("cache", sa.JSON), schema=SCHEMA)
    op.alter_column("api_keys", "expires_at", nullable=True, schema=SCHEMA)
    op.add_column("token_usage", sa.Column("purpose", sa.String(16)), schema=SCHEMA)


def downgrade() -> None:
    """Drop them; a key without an end has ended."""
    op.drop_column("token_usage", "purpose", schema=SCHEMA)
    op.execute("update llm_api.api_keys set expires_at = now() where expires_at is null")
    op.alter_column("api_keys", "expires_at", nullable=False, schema=SCHEMA)
    op.drop_column("usage_limits", "cache", schema=SCHEMA)
    op.drop_column("usage_limits", "denied_models", schema=SCHEMA)
