"""The tables of identity, in the PostgreSQL schema `identity`.

Ids are text because callers may send anything as an id, and Keycloak's own ids are text too.
What Keycloak calls a representation is kept as JSON where the issuer only reads it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

SCHEMA = "identity"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A new id, as Keycloak makes them: a random UUID."""
    return str(uuid.uuid4())


class IdentityTable(SQLModel):
    """What every table of the schema inherits: its schema and the names of its constraints."""

    metadata = MetaData(schema=SCHEMA, naming_convention=NAMING)


def _moment(**options: Any) -> Any:
    return Field(sa_type=DateTime(timezone=True), **options)


def _json(default: type[dict[str, Any]] | type[list[Any]]) -> Any:
    return Field(default_factory=default, sa_type=JSONB, nullable=False)


def _owner(table: str, *, primary_key: bool = False, nullable: bool = False, index: bool = False) -> Any:
    """A reference whose row goes when its owner goes."""
    return Field(
        sa_column=Column(
            String(64),
            ForeignKey(f"{SCHEMA}.{table}.id", ondelete="CASCADE"),
            primary_key=primary_key,
            nullable=nullable,
            index=index,
        )
    )


class RealmRow(IdentityTable, table=True):
    """A realm: its settings in Keycloak's words, and the secret of its own tokens."""

    __tablename__ = "realms"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    name: str = Field(unique=True, max_length=255)
    settings: dict[str, Any] = _json(dict)
    version: int = 1
    secret: str = Field(sa_type=Text)
    secret_id: str = Field(default_factory=new_id, max_length=64)
    not_before: int = 0


class RealmKeyRow(IdentityTable, table=True):
    """An RSA key of a realm."""

    __tablename__ = "realm_keys"

    realm_id: str = _owner("realms", primary_key=True)
    kid: str = Field(primary_key=True, max_length=64)
    private_key: str = Field(sa_type=Text)
    certificate: str = Field(sa_type=Text)
    status: str = Field(default="ACTIVE", max_length=16)
    priority: int = 100
    provider_id: str = Field(default_factory=new_id, max_length=64)
    provider_name: str = Field(max_length=255)
    from_file: bool = False
    created_at: datetime = _moment(default_factory=now)
    retired_at: datetime | None = _moment(default=None)


class ClientRow(IdentityTable, table=True):
    """An application that may ask for tokens."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("realm_id", "client_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    client_id: str = Field(max_length=255)
    secret: str = Field(default="", sa_type=Text)
    settings: dict[str, Any] = _json(dict)


class ClientScopeRow(IdentityTable, table=True):
    """A named set of protocol mappers that clients share."""

    __tablename__ = "client_scopes"
    __table_args__ = (UniqueConstraint("realm_id", "name"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    name: str = Field(max_length=255)
    settings: dict[str, Any] = _json(dict)


class RoleRow(IdentityTable, table=True):
    """A role of the realm, or of a client of it."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("realm_id", "client_id", "name", postgresql_nulls_not_distinct=True),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    client_id: str | None = _owner("clients", nullable=True)
    name: str = Field(max_length=255)
    description: str = Field(default="", sa_type=Text)
    attributes: dict[str, list[str]] = _json(dict)


class RoleCompositeRow(IdentityTable, table=True):
    """A role that another role brings with it."""

    __tablename__ = "role_composites"

    role_id: str = _owner("roles", primary_key=True)
    child_id: str = _owner("roles", primary_key=True, index=True)


class GroupRow(IdentityTable, table=True):
    """A group of users; groups form trees."""

    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("realm_id", "parent_id", "name", postgresql_nulls_not_distinct=True),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    parent_id: str | None = _owner("groups", nullable=True, index=True)
    name: str = Field(max_length=255)
    attributes: dict[str, list[str]] = _json(dict)
    is_default: bool = False


class GroupRoleRow(IdentityTable, table=True):
    """A role that every member of a group has."""

    __tablename__ = "group_roles"

    group_id: str = _owner("groups", primary_key=True)
    role_id: str = _owner("roles", primary_key=True, index=True)


class UserRow(IdentityTable, table=True):
    """A person, a guest, or the service account of a client."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("realm_id", "username"),
        UniqueConstraint("realm_id", "email"),
        Index("ix_users_attributes", "attributes", postgresql_using="gin"),
        Index("ix_users_realm_id_created_at", "realm_id", "created_at"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    username: str = Field(max_length=255)
    email: str | None = Field(default=None, max_length=255)
    email_verified: bool = False
    enabled: bool = False
    first_name: str | None = Field(default=None, max_length=255)
    last_name: str | None = Field(default=None, max_length=255)
    attributes: dict[str, list[str]] = _json(dict)
    required_actions: list[str] = _json(list)
    service_account_of: str | None = _owner("clients", nullable=True, index=True)
    not_before: int = 0
    created_at: datetime = _moment(default_factory=now)


class CredentialRow(IdentityTable, table=True):
    """The password of a user, hashed."""

    __tablename__ = "credentials"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=64)
    user_id: str = Field(
        sa_column=Column(
            String(64), ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), nullable=False, unique=True
        )
    )
    hash: str = Field(sa_type=Text)
    created_at: datetime = _moment(default_factory=now)


class UserRoleRow(IdentityTable, table=True):
    """A role given to a user."""

    __tablename__ = "user_roles"

    user_id: str = _owner("users", primary_key=True)
    role_id: str = _owner("roles", primary_key=True, index=True)


class UserGroupRow(IdentityTable, table=True):
    """The membership of a user in a group."""

    __tablename__ = "user_groups"

    user_id: str = _owner("users", primary_key=True)
    group_id: str = _owner("groups", primary_key=True, index=True)


class UserSessionRow(IdentityTable, table=True):
    """A log-in of a user: as long as it lives, its refresh tokens do."""

    __tablename__ = "user_sessions"

    id: str = Field(primary_key=True, max_length=64)
    realm_id: str = _owner("realms")
    user_id: str = _owner("users", index=True)
    cookie_hash: str | None = Field(default=None, max_length=64, unique=True)
    remember_me: bool = False
    offline: bool = False
    address: str = Field(default="", max_length=64)
    started_at: datetime = _moment(default_factory=now)
    refreshed_at: datetime = _moment(default_factory=now)
    expires_at: datetime = _moment(index=True)


class ClientSessionRow(IdentityTable, table=True):
    """A client within a log-in, with the one refresh token that is good."""

    __tablename__ = "client_sessions"

    session_id: str = _owner("user_sessions", primary_key=True)
    client_id: str = _owner("clients", primary_key=True, index=True)
    refresh_id: str | None = Field(default=None, max_length=64)
    refresh_uses: int = 0
    started_at: datetime = _moment(default_factory=now)


class AuthorizationCodeRow(IdentityTable, table=True):
    """A code that a browser carried back to its client; good once, for a minute."""

    __tablename__ = "authorization_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    session_id: str = _owner("user_sessions", index=True)
    client_id: str = _owner("clients")
    redirect_uri: str = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    nonce: str | None = Field(default=None, sa_type=Text)
    code_challenge: str | None = Field(default=None, max_length=128)
    code_challenge_method: str | None = Field(default=None, max_length=16)
    used: bool = False
    expires_at: datetime = _moment(index=True)


class LoginFailureRow(IdentityTable, table=True):
    """How often log-ins failed of late: for a user, a name that nobody has, or an address."""

    __tablename__ = "login_failures"

    realm_id: str = _owner("realms", primary_key=True)
    kind: str = Field(primary_key=True, max_length=8)
    subject: str = Field(primary_key=True, max_length=255)
    failures: int = 0
    last_failure_at: datetime = _moment(index=True)
    last_address: str = Field(default="", max_length=64)
    blocked_until: datetime | None = _moment(default=None)


class RevokedTokenRow(IdentityTable, table=True):
    """An access token that was revoked before it ran out."""

    __tablename__ = "revoked_tokens"

    token_id: str = Field(primary_key=True, max_length=64)
    expires_at: datetime = _moment(index=True)


class ImportedEntityRow(IdentityTable, table=True):
    """What the realm file brought, so that only its own changes are applied again."""

    __tablename__ = "imported_entities"
    realm_id: str = _owner("realms", primary_key=True)
    kind: str = Field(primary_key=True, max_length=32)
    name: str = Field(primary_key=True, max_length=255)
    digest: str = Field(max_length=64)
    secret_hash: str | None = Field(default=None, sa_type=Text)
