"""Links that prove an e-mail address, as long as nobody followed them."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0013"
down_revision = "llm_api_0012"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"
TABLE = "email_proofs"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        TABLE,
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_email_proofs"),
        schema=SCHEMA,
    )
    op.create_index("ix_email_proofs_subject", TABLE, ["issuer", "subject"], schema=SCHEMA)
    op.create_index("ix_email_proofs_expires_at", TABLE, ["expires_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop it."""
    op.drop_table(TABLE, schema=SCHEMA)
