"""Users, their API keys, and browser log-ins under way (contract/llm-api.md, section 24)."""

import sqlalchemy as sa
from alembic import op

revision = "llm_api_0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "llm_api"


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("auth_provider", sa.String(50), nullable=False, server_default="keycloak"),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("username", sa.String(150), nullable=False, server_default=""),
        sa.Column("email", sa.String(320), nullable=False, server_default=""),
        sa.Column("name", sa.String(255), nullable=False, server_default=""),
        sa.Column("picture", sa.String(512), nullable=False, server_default=""),
        sa.Column("guest", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_users_idle_guests", "users", ["last_seen_at"], schema=SCHEMA, postgresql_where=sa.text("guest")
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("suffix", sa.String(8), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(
            ["user_id"], [f"{SCHEMA}.users.id"], name="fk_api_keys_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        schema=SCHEMA,
    )
    op.create_index("ix_api_keys_user_id_created_at", "api_keys", ["user_id", "created_at"], schema=SCHEMA)
    op.create_table(
        "login_states",
        sa.Column("state_hash", sa.String(64), nullable=False),
        sa.Column("verifier", sa.String(128), nullable=False),
        sa.Column("redirect_url", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_login_states"),
        schema=SCHEMA,
    )
    op.create_index("ix_login_states_expires_at", "login_states", ["expires_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop the three tables."""
    for table in ("login_states", "api_keys", "users"):
        op.drop_table(table, schema=SCHEMA)
