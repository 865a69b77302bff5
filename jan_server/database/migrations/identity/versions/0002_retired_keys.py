"""When a signing key stopped signing, so that it can be removed once no token needs it any more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "identity"


def upgrade() -> None:
    """Add the column; nobody knows it of keys that stopped before."""
    op.add_column("realm_keys", sa.Column("retired_at", sa.DateTime(timezone=True)), schema=SCHEMA)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("realm_keys", "retired_at", schema=SCHEMA)
