"""The settings of what the services stand on: the database, the Keycloak protocol and the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import (
    Duration,
    HttpUrl,
    LogLevel,
    Port,
    RedisUrl,
    Section,
    TextList,
    setting,
)
from jan_server.settings.tree.rate_limits import RateLimits


class Postgres(Section):
    """PostgreSQL: names and limits of the connection."""

    host: str = setting(
        "127.0.0.1", "Host of a PostgreSQL that runs elsewhere.", "POSTGRES_HOST", min_length=1
    )
    port: Port = setting(5432, "Port of that PostgreSQL.", "POSTGRES_PORT")
    user: str = setting("jan_user", "Name to log in with.", "POSTGRES_USER", min_length=1)
    database: str = setting("jan_llm_api", "Database that holds all schemas.", "POSTGRES_DB", min_length=1)
    password: SecretStr = setting(SecretStr(""), "Password to log in with.", "POSTGRES_PASSWORD")
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = setting(
        "disable", "How the connection is protected.", "POSTGRES_SSL_MODE"
    )
    max_connections: int = setting(
        100, "Connections that the database itself accepts.", "POSTGRES_MAX_CONNECTIONS", ge=1, le=1000
    )
    max_idle_conns: int = setting(
        5, "Connections that a service keeps open while it is idle.", "DB_MAX_IDLE_CONNS", ge=1
    )
    max_open_conns: int = setting(
        15, "Connections that a service opens at the most.", "DB_MAX_OPEN_CONNS", ge=1
    )
    conn_max_lifetime: Duration = setting(
        timedelta(minutes=30), "Age at which a connection is replaced.", "DB_CONN_MAX_LIFETIME"
    )


class DatabaseSettings(Section):
    """The database of all services."""

    url: SecretStr = setting(
        SecretStr(""),
        "Whole address of a PostgreSQL (postgresql://…); empty means the embedded one.",
        "DATABASE_URL",
        "DB_POSTGRESQL_WRITE_DSN",
        "LLM_API_DATABASE_DSN",
    )
    read_url: SecretStr = setting(
        SecretStr(""), "Address of a read replica; empty means the same database.", "DB_POSTGRESQL_READ1_DSN"
    )
    postgres: Postgres = Postgres()


class KeycloakSettings(Section):
    """Keycloak's protocol, spoken by the embedded issuer or by a Keycloak."""

    http_port: Port = setting(8085, "Port of the issuer.", "KEYCLOAK_HTTP_PORT")
    managed: bool = setting(
        False,
        "Whether the server runs a Keycloak itself, as a child; otherwise somebody else does.",
        "JAN_KEYCLOAK_MANAGED",
    )
    home: str = setting(
        "",
        "Folder of the Keycloak distribution to run; empty: the one that `jan identity install` fetched.",
        "KEYCLOAK_HOME",
    )
    version: str = setting(
        "26.5.6",
        "Version that `jan identity install` fetches.",
        "JAN_KEYCLOAK_VERSION",
        pattern=r"^[0-9]+(\.[0-9]+)+$",
    )
    management_port: Port = setting(
        9000,
        "Port of its management interface (health, metrics), for this machine alone.",
        "KEYCLOAK_MANAGEMENT_PORT",
    )
    database_port: Port = setting(
        8432,
        "Port of the loopback on which the embedded PostgreSQL lets in the Keycloak that the server runs.",
        "KEYCLOAK_DATABASE_PORT",
    )
    memory_mb: int = setting(
        512, "Largest heap of its Java machine, in megabytes.", "KEYCLOAK_MEMORY_MB", ge=256
    )
    realm: str = setting("jan", "Realm of the application.", "KEYCLOAK_REALM", min_length=1)
    base_url: HttpUrl = setting(
        "http://127.0.0.1:8085",
        "Address at which services reach the issuer.",
        "KEYCLOAK_BASE_URL",
        follows="http://{local_host}:{identity.http_port}",
        min_length=1,
    )
    public_url: HttpUrl = setting(
        "http://localhost:8085",
        "Address at which browsers reach the issuer.",
        "KEYCLOAK_PUBLIC_URL",
        follows="http://{server.public_host}:{identity.http_port}",
    )
    admin_user: str = setting("admin", "Name of the master realm's administrator.", "KEYCLOAK_ADMIN")
    admin_password: SecretStr = setting(
        SecretStr(""), "Password of the master realm's administrator.", "KEYCLOAK_ADMIN_PASSWORD"
    )
    admin_realm: str = setting("master", "Realm in which the administrator lives.", "KEYCLOAK_ADMIN_REALM")
    admin_client_id: str = setting("admin-cli", "Client of the admin API.", "KEYCLOAK_ADMIN_CLIENT_ID")
    admin_client_secret: SecretStr = setting(
        SecretStr(""), "Secret of that client; empty for a public client.", "KEYCLOAK_ADMIN_CLIENT_SECRET"
    )
    backend_client_id: str = setting("backend", "Client that the services use.", "BACKEND_CLIENT_ID")
    backend_client_secret: SecretStr = setting(
        SecretStr(""), "Secret of that client.", "BACKEND_CLIENT_SECRET"
    )
    client: TextList = setting(
        ("jan-client", "jan-admin"),
        "Clients that users log in with: the first serves guest login, refresh and browser login, "
        "and each is an accepted `azp`.",
        "CLIENT",
        "TARGET_CLIENT_ID",
        min_length=1,
    )
    oauth_redirect_uri: HttpUrl = setting(
        "http://localhost:8000/auth/callback",
        "Address to which the issuer sends a browser back after the log-in.",
        "OAUTH_REDIRECT_URI",
        follows="{infrastructure.gateway.public_url}/auth/callback",
    )
    jwks_url: HttpUrl = setting(
        "http://127.0.0.1:8085/realms/jan/protocol/openid-connect/certs",
        "Where the realm's public keys are fetched.",
        "JWKS_URL",
        "AUTH_JWKS_URL",
        follows="{infrastructure.auth.keycloak.base_url}/realms/{infrastructure.auth.keycloak.realm}"
        "/protocol/openid-connect/certs",
    )
    oidc_discovery_url: HttpUrl = setting(
        "http://127.0.0.1:8085/realms/jan/.well-known/openid-configuration",
        "Where the realm describes itself.",
        "OIDC_DISCOVERY_URL",
        follows="{infrastructure.auth.keycloak.base_url}/realms/{infrastructure.auth.keycloak.realm}"
        "/.well-known/openid-configuration",
    )
    issuer: HttpUrl = setting(
        "http://localhost:8085/realms/jan",
        "The `iss` of every token.",
        "ISSUER",
        "AUTH_ISSUER",
        follows="{infrastructure.auth.keycloak.public_url}/realms/{infrastructure.auth.keycloak.realm}",
    )
    account: str = setting(
        "account", "The `aud` that every token must carry.", "ACCOUNT", "AUDIENCE", "AUTH_AUDIENCE"
    )
    refresh_jwks_interval: Duration = setting(
        timedelta(minutes=5),
        "Age at which the public keys are fetched again.",
        "JWKS_REFRESH_INTERVAL",
        "REFRESH_JWKS_INTERVAL",
    )
    auth_clock_skew: Duration = setting(
        timedelta(seconds=60), "Difference of clocks that is forgiven.", "AUTH_CLOCK_SKEW"
    )
    guest_role: str = setting("guest", "Role of guests.", "GUEST_ROLE")
    features: TextList = setting(
        (), "Further features that a Keycloak of ours starts with.", "KEYCLOAK_FEATURES"
    )


class Auth(Section):
    """Who may come in."""

    keycloak: KeycloakSettings = KeycloakSettings()


class Kong(Section):
    """The gateway's listeners, named as the contract names them."""

    http_port: Port = setting(
        8000, "Port of the gateway: the one address that clients need.", "KONG_HTTP_PORT"
    )
    admin_port: Port = setting(8001, "Port of the gateway's admin API.", "KONG_ADMIN_PORT")
    admin_url: HttpUrl = setting(
        "http://127.0.0.1:8001",
        "Address of the gateway's admin API.",
        "KONG_ADMIN_URL",
        follows="http://{local_host}:{infrastructure.gateway.kong.admin_port}",
    )
    log_level: LogLevel = setting("info", "How much the gateway logs.", "KONG_LOG_LEVEL", "LOG_LEVEL")


class Gateway(Section):
    """The gateway."""

    kong: Kong = Kong()
    public_url: HttpUrl = setting(
        "http://localhost:8000",
        "Address at which clients reach the gateway; set it when a proxy with TLS stands in front.",
        "JAN_PUBLIC_URL",
        follows="http://{server.public_host}:{infrastructure.gateway.kong.http_port}",
        min_length=1,
    )
    kong_file: str = setting(
        "", "A declarative Kong file to run instead of the one that ships; a path.", "JAN_KONG_FILE"
    )
    rate_limits_enabled: bool = setting(True, "Whether rate limits hold at all.", "JAN_RATE_LIMITS_ENABLED")
    rate_limits: RateLimits = RateLimits()
    refused_credentials: int = setting(
        100,
        "Tokens and keys a minute that one address may present and have refused, before its credentials "
        "are not looked at for a while; 0 means no limit.",
        "JAN_REFUSED_CREDENTIALS_PER_MINUTE",
        ge=0,
    )
    redis_url: RedisUrl = setting(
        "",
        "Redis that counts requests for several gateways; empty counts in memory.",
        "JAN_GATEWAY_REDIS_URL",
    )
    request_size_limit_mb: int = setting(
        50, "Largest request body, in megabytes.", "JAN_REQUEST_SIZE_LIMIT_MB", ge=1
    )
    cors_origins: TextList = setting(
        (
            "http://localhost",
            "http://localhost:3000",
            "http://localhost:3001",
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://127.0.0.1:3000",
            "http://127.0.0.1:3001",
            "http://127.0.0.1:8080",
            "https://chat-dev.jan.ai",
            "https://platform-dev.jan.ai",
            "https://api-gateway-dev.jan.ai",
            "https://chat.jan.ai",
            "https://platform.jan.ai",
        ),
        "Web origins that may call the gateway from a browser, with credentials; * lets in every page, "
        "without credentials.",
        "JAN_CORS_ORIGINS",
    )
    trusted_ips: TextList = setting(
        (),
        "Addresses and networks of proxies in front of the gateway, whose X-Real-IP and X-Forwarded-* "
        "headers are believed. Services believe X-Real-IP from them too: name the gateway's own address "
        "where it runs in another process than they.",
        "KONG_TRUSTED_IPS",
    )


class Infrastructure(Section):
    """What the services stand on."""

    database: DatabaseSettings = DatabaseSettings()
    auth: Auth = Auth()
    gateway: Gateway = Gateway()
