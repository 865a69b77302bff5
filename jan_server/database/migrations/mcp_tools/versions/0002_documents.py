"""Documents that are searched, and the chunks that they are cut into.

Vectors are arrays of numbers, so that the tables are the same where PostgreSQL has no pgvector; the
service makes the index over them once it finds the extension.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

revision = "mcp_tools_0002"
down_revision = "mcp_tools_0001"
branch_labels = None
depends_on = None

SCHEMA = "mcp_tools"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "documents",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("document_id", sa.String(512), nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("metadata", JSONB, nullable=False, server_default="{}"),
        sa.Column("tags", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("chunk_count", sa.Integer, nullable=False),
        sa.Column("token_count", sa.Integer, nullable=False),
        sa.Column("embedding_model", sa.String(255), nullable=True),
        sa.Column("revision", sa.String(32), nullable=False),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
        sa.UniqueConstraint("owner", "document_id", name="uq_documents_owner_document_id"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_documents_shared", "documents", ["shared"], schema=SCHEMA, postgresql_where=sa.text("shared")
    )
    op.create_table(
        "document_chunks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("document", sa.BigInteger, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("words", TSVECTOR, nullable=False),
        sa.Column("embedding", ARRAY(sa.REAL), nullable=True),
        sa.Column("embedding_model", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_document_chunks"),
        sa.UniqueConstraint("document", "position", name="uq_document_chunks_document_position"),
        sa.ForeignKeyConstraint(
            ["document"],
            [f"{SCHEMA}.documents.id"],
            name="fk_document_chunks_document_documents",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_document_chunks_words", "document_chunks", ["words"], schema=SCHEMA, postgresql_using="gin"
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("document_chunks", schema=SCHEMA)
    op.drop_table("documents", schema=SCHEMA)
