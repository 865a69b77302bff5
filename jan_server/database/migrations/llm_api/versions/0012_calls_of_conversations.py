"""The calls of one conversation, for finding the model that answered there last."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0012"
down_revision = "llm_api_0011"
branch_labels = None
depends_on = None

INDEX = "ix_token_usage_of_conversation"
SCHEMA = "llm_api"


def upgrade() -> None:
    """Make the index; calls without a conversation are not in it."""
    op.create_index(
        INDEX,
        "token_usage",
        ["conversation_id", "created_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("conversation_id is not null"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index(INDEX, "token_usage", schema=SCHEMA)
