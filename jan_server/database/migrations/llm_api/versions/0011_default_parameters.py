"""What a provider's model gets where a request says nothing."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0011"
down_revision = "llm_api_0010"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Add the column."""
    op.add_column("provider_models", sa.Column("default_parameters", sa.JSON), schema=SCHEMA)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("provider_models", "default_parameters", schema=SCHEMA)
