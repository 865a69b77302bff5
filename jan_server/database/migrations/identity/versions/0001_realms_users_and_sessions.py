"""Realms, their keys, clients, roles, groups and users; log-ins and what belongs to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "identity"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "realms",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("settings", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("secret_id", sa.String(64), nullable=False),
        sa.Column("not_before", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_realms"),
        sa.UniqueConstraint("name", name="uq_realms_name"),
        schema=SCHEMA,
    )
    op.create_table(
        "revoked_tokens",
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name="pk_revoked_tokens"),
        schema=SCHEMA,
    )
    op.create_index("ix_revoked_tokens_expires_at", "revoked_tokens", ["expires_at"], schema=SCHEMA)
    op.create_table(
        "client_scopes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("settings", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_client_scopes"),
        sa.UniqueConstraint("realm_id", "name", name="uq_client_scopes_realm_id_name"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_client_scopes_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("settings", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clients"),
        sa.UniqueConstraint("realm_id", "client_id", name="uq_clients_realm_id_client_id"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_clients_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint(
            "realm_id",
            "parent_id",
            "name",
            name="uq_groups_realm_id_parent_id_name",
            postgresql_nulls_not_distinct=True,
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], [f"{SCHEMA}.groups.id"], name="fk_groups_parent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_groups_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_groups_parent_id", "groups", ["parent_id"], schema=SCHEMA)
    op.create_table(
        "imported_entities",
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("secret_hash", sa.Text),
        sa.PrimaryKeyConstraint("realm_id", "kind", "name", name="pk_imported_entities"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_imported_entities_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "login_failures",
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_failure_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_address", sa.String(64), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("realm_id", "kind", "subject", name="pk_login_failures"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_login_failures_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_login_failures_last_failure_at", "login_failures", ["last_failure_at"], schema=SCHEMA)
    op.create_table(
        "realm_keys",
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("private_key", sa.Text, nullable=False),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("provider_id", sa.String(64), nullable=False),
        sa.Column("provider_name", sa.String(255), nullable=False),
        sa.Column("from_file", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("realm_id", "kid", name="pk_realm_keys"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_realm_keys_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_roles"),
        sa.UniqueConstraint(
            "realm_id",
            "client_id",
            "name",
            name="uq_roles_realm_id_client_id_name",
            postgresql_nulls_not_distinct=True,
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], [f"{SCHEMA}.clients.id"], name="fk_roles_client_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_roles_realm_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("email", sa.String(255)),
        sa.Column("email_verified", sa.Boolean, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("first_name", sa.String(255)),
        sa.Column("last_name", sa.String(255)),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("required_actions", JSONB, nullable=False),
        sa.Column("service_account_of", sa.String(64)),
        sa.Column("not_before", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("realm_id", "username", name="uq_users_realm_id_username"),
        sa.UniqueConstraint("realm_id", "email", name="uq_users_realm_id_email"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_users_realm_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["service_account_of"],
            [f"{SCHEMA}.clients.id"],
            name="fk_users_service_account_of",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_users_attributes", "users", ["attributes"], schema=SCHEMA, postgresql_using="gin")
    op.create_index("ix_users_realm_id_created_at", "users", ["realm_id", "created_at"], schema=SCHEMA)
    op.create_index("ix_users_service_account_of", "users", ["service_account_of"], schema=SCHEMA)
    op.create_table(
        "credentials",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.UniqueConstraint("user_id", name="uq_credentials_user_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], [f"{SCHEMA}.users.id"], name="fk_credentials_user_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_table(
        "group_roles",
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "role_id", name="pk_group_roles"),
        sa.ForeignKeyConstraint(
            ["group_id"], [f"{SCHEMA}.groups.id"], name="fk_group_roles_group_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], [f"{SCHEMA}.roles.id"], name="fk_group_roles_role_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_group_roles_role_id", "group_roles", ["role_id"], schema=SCHEMA)
    op.create_table(
        "role_composites",
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.Column("child_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("role_id", "child_id", name="pk_role_composites"),
        sa.ForeignKeyConstraint(
            ["child_id"], [f"{SCHEMA}.roles.id"], name="fk_role_composites_child_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], [f"{SCHEMA}.roles.id"], name="fk_role_composites_role_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_role_composites_child_id", "role_composites", ["child_id"], schema=SCHEMA)
    op.create_table(
        "user_groups",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "group_id", name="pk_user_groups"),
        sa.ForeignKeyConstraint(
            ["group_id"], [f"{SCHEMA}.groups.id"], name="fk_user_groups_group_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], [f"{SCHEMA}.users.id"], name="fk_user_groups_user_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_user_groups_group_id", "user_groups", ["group_id"], schema=SCHEMA)
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "role_id", name="pk_user_roles"),
        sa.ForeignKeyConstraint(
            ["role_id"], [f"{SCHEMA}.roles.id"], name="fk_user_roles_role_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], [f"{SCHEMA}.users.id"], name="fk_user_roles_user_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_user_roles_role_id", "user_roles", ["role_id"], schema=SCHEMA)
    op.create_table(
        "user_sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("realm_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("cookie_hash", sa.String(64)),
        sa.Column("remember_me", sa.Boolean, nullable=False),
        sa.Column("offline", sa.Boolean, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_user_sessions"),
        sa.UniqueConstraint("cookie_hash", name="uq_user_sessions_cookie_hash"),
        sa.ForeignKeyConstraint(
            ["realm_id"], [f"{SCHEMA}.realms.id"], name="fk_user_sessions_realm_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], [f"{SCHEMA}.users.id"], name="fk_user_sessions_user_id", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_user_sessions_expires_at", "user_sessions", ["expires_at"], schema=SCHEMA)
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"], schema=SCHEMA)
    op.create_table(
        "authorization_codes",
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("code_challenge", sa.String(128)),
        sa.Column("code_challenge_method", sa.String(16)),
        sa.Column("used", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name="pk_authorization_codes"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            [f"{SCHEMA}.clients.id"],
            name="fk_authorization_codes_client_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{SCHEMA}.user_sessions.id"],
            name="fk_authorization_codes_session_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_authorization_codes_expires_at", "authorization_codes", ["expires_at"], schema=SCHEMA)
    op.create_index("ix_authorization_codes_session_id", "authorization_codes", ["session_id"], schema=SCHEMA)
    op.create_table(
        "client_sessions",
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("refresh_id", sa.String(64)),
        sa.Column("refresh_uses", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "client_id", name="pk_client_sessions"),
        sa.ForeignKeyConstraint(
            ["client_id"], [f"{SCHEMA}.clients.id"], name="fk_client_sessions_client_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{SCHEMA}.user_sessions.id"],
            name="fk_client_sessions_session_id",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_client_sessions_client_id", "client_sessions", ["client_id"], schema=SCHEMA)


def downgrade() -> None:
    """Drop the tables."""
    for table in [
        "client_sessions",
        "authorization_codes",
        "user_sessions",
        "user_roles",
        "user_groups",
        "role_composites",
        "group_roles",
        "credentials",
        "users",
        "roles",
        "realm_keys",
        "login_failures",
        "imported_entities",
        "groups",
        "clients",
        "client_scopes",
        "revoked_tokens",
        "realms",
    ]:
        op.drop_table(table, schema=SCHEMA)
