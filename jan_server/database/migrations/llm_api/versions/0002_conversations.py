"""Projects, conversations, their branches and items (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "llm_api_0002"
down_revision = "llm_api_0001"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"
ALIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "projects",
        *_key("projects"),
        sa.Column("public_id", sa.String(50), nullable=False),
        _reference("user_id", "users", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("instruction", sa.Text),
        sa.Column("favorite", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        *_stamps(),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("public_id", name="uq_projects_public_id"),
        schema=SCHEMA,
    )
    _index("uq_projects_name", "projects", ["user_id", "name", "deleted_at"], unique=True)
    _index("ix_projects_of_user", "projects", ["user_id", "updated_at", "id"], where=ALIVE)

    op.create_table(
        "conversations",
        *_key("conversations"),
        sa.Column("public_id", sa.String(50), nullable=False),
        _reference("user_id", "users", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(256)),
        sa.Column("metadata", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("referrer", sa.String(100)),
        sa.Column("active_branch", sa.String(50), nullable=False, server_default="MAIN"),
        _reference("project_id", "projects", sa.BigInteger(), on_delete="SET NULL"),
        sa.Column("project_public_id", sa.String(50)),
        *_stamps(),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("public_id", name="uq_conversations_public_id"),
        schema=SCHEMA,
    )
    _index("ix_conversations_of_user", "conversations", ["user_id", "updated_at", "id"], where=ALIVE)
    _index(
        "ix_conversations_of_project",
        "conversations",
        ["user_id", "project_public_id", "updated_at", "id"],
        where=sa.text("deleted_at IS NULL AND project_public_id IS NOT NULL"),
    )
    _index(
        "ix_conversations_of_referrer",
        "conversations",
        ["user_id", "referrer", "updated_at", "id"],
        where=sa.text("deleted_at IS NULL AND referrer IS NOT NULL"),
    )
    _index("ix_conversations_user_id", "conversations", ["user_id"])
    _index(
        "ix_conversations_project_id",
        "conversations",
        ["project_id"],
        where=sa.text("project_id IS NOT NULL"),
    )

    op.create_table(
        "conversation_branches",
        *_key("conversation_branches"),
        _reference("conversation_id", "conversations", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("parent_branch", sa.String(50)),
        sa.Column("forked_at", sa.DateTime(timezone=True)),
        sa.Column("forked_from_item_id", sa.String(50)),
        sa.Column("item_count", sa.Integer, nullable=False, server_default="0"),
        *_stamps(),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        schema=SCHEMA,
    )
    _index(
        "uq_conversation_branches_name",
        "conversation_branches",
        ["conversation_id", "name", "deleted_at"],
        unique=True,
    )

    op.create_table(
        "conversation_items",
        *_key("conversation_items"),
        sa.Column("public_id", sa.String(50), nullable=False),
        _reference("conversation_id", "conversations", sa.BigInteger(), nullable=False),
        _reference("branch_id", "conversation_branches", sa.BigInteger(), nullable=False),
        sa.Column("sequence_number", sa.Integer, nullable=False),
        sa.Column("type", sa.String(50), nullable=False),
        sa.Column("role", sa.String(20)),
        sa.Column("status", sa.String(64)),
        sa.Column("call_id", sa.Text),
        sa.Column("content", postgresql.JSON),
        sa.Column("details", postgresql.JSON),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("incomplete_at", sa.DateTime(timezone=True)),
        schema=SCHEMA,
    )
    _index(
        "uq_conversation_items_sequence", "conversation_items", ["branch_id", "sequence_number"], unique=True
    )
    _index(
        "uq_conversation_items_public_id",
        "conversation_items",
        ["conversation_id", "public_id"],
        unique=True,
    )
    _index(
        "ix_conversation_items_call",
        "conversation_items",
        ["conversation_id", sa.text("md5(call_id)")],
        where=sa.text("call_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Drop the four tables."""
    for table in ("conversation_items", "conversation_branches", "conversations", "projects"):
        op.drop_table(table, schema=SCHEMA)


def _key(table: str) -> tuple[sa.Column[int], sa.PrimaryKeyConstraint]:
    return (
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
    )


def _reference(
    column: str,
    table: str,
    kind: sa.types.TypeEngine[int],
    *,
    on_delete: str = "CASCADE",
    nullable: bool = True,
) -> sa.Column[int]:
    return sa.Column(
        column, kind, sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete=on_delete), nullable=nullable
    )


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        for name in ("created_at", "updated_at")
    ]


def _index(
    name: str,
    table: str,
    columns: list[str | sa.TextClause],
    *,
    unique: bool = False,
    where: sa.TextClause | None = None,
) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=unique,
        schema=SCHEMA,
        postgresql_where=where,
        # A deleted row frees its name; two live rows (deleted_at is null) never share one.
        postgresql_nulls_not_distinct=True if unique and "deleted_at" in columns else None,
    )
