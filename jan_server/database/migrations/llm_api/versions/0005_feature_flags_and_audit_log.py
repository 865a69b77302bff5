"""Feature flags, which models may ask for, and the audit log (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0005"
down_revision = "llm_api_0004"
branch_labels = None
depends_on = None

SCHEMA = "llm_api"
REQUIRED = "fk_model_catalogs_requires_feature_flag"


def upgrade() -> None:
    """Create the two tables, define the flags that exist, and tie models to the flags that they ask for."""
    op.create_table(
        "feature_flags",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("key", sa.String(50), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("category", sa.String(50), nullable=False, server_default=""),
        sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"),
        *_stamps("created_at", "updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_feature_flags"),
        sa.UniqueConstraint("key", name="uq_feature_flags_key"),
        schema=SCHEMA,
    )
    op.create_index(
        "uq_feature_flags_lower_key", "feature_flags", [sa.text("lower(key)")], unique=True, schema=SCHEMA
    )
    op.execute(
        """
        insert into llm_api.feature_flags (id, key, name, description, category)
        values (gen_random_uuid(), 'experimental_models', 'Experimental models',
                'Shows models of the catalogue that are marked experimental.', 'models')
        """
    )
    # What models ask for already stays closed to those who lack it.
    op.execute(
        """
        insert into llm_api.feature_flags (id, key, name)
        select gen_random_uuid(), required, required
        from (select distinct requires_feature_flag as required from llm_api.model_catalogs) as models
        where required is not null
        on conflict do nothing
        """
    )
    op.execute(
        """
        update llm_api.model_catalogs set requires_feature_flag = flags.key
        from llm_api.feature_flags as flags
        where lower(flags.key) = lower(requires_feature_flag) and flags.key <> requires_feature_flag
        """
    )
    op.create_foreign_key(
        REQUIRED,
        "model_catalogs",
        "feature_flags",
        ["requires_feature_flag"],
        ["key"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
        onupdate="CASCADE",
        ondelete="RESTRICT",
    )
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("admin_user_id", sa.String(255), nullable=False),
        sa.Column("admin_email", sa.String(320), nullable=False, server_default=""),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("resource_type", sa.String(100), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False, server_default=""),
        sa.Column("payload", sa.JSON),
        sa.Column("ip_address", sa.String(64), nullable=False, server_default=""),
        sa.Column("user_agent", sa.String(512), nullable=False, server_default=""),
        sa.Column("status_code", sa.Integer, nullable=False),
        sa.Column("error_message", sa.Text, nullable=False, server_default=""),
        sa.Column("request_id", sa.String(128), nullable=False, server_default=""),
        *_stamps("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_logs"),
        schema=SCHEMA,
    )
    for columns in (
        ["created_at", "id"],
        ["admin_user_id", "created_at"],
        ["resource_type", "resource_id", "created_at"],
    ):
        op.create_index(f"ix_audit_logs_{'_'.join(columns)}", "audit_logs", columns, schema=SCHEMA)


def downgrade() -> None:
    """Drop the two tables; models keep the names of the flags that they ask for."""
    op.drop_table("audit_logs", schema=SCHEMA)
    op.drop_constraint(REQUIRED, "model_catalogs", schema=SCHEMA)
    op.drop_table("feature_flags", schema=SCHEMA)


def _stamps(*names: str) -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
        for name in names
    ]
