"""The Kong file that ships, filled in from the settings.

Nothing in it has to be edited after `jan quickstart`: issuer, keys, limits, origins and ports
are those of the settings. An operator who wants another one names it in
`infrastructure.gateway.kong_file`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from jan_server.gateway.entities import KongFile
from jan_server.gateway.fields import KongFileError
from jan_server.gateway.kong_file import load, parse, read_text
from jan_server.settings.resources import templates_dir
from jan_server.settings.tree import Settings
from jan_server.settings.tree.rate_limits import RateLimit, RateLimits

TEMPLATE = "kong/kong.yml.j2"
IDENTITY_SERVICES = ("identity-svc", "identity-realm-svc")
"""The services of the file that are the realm's issuer."""

KEYCLOAK_READ_MILLISECONDS = 10_000
"""How long a Keycloak may take over an answer before it counts as away."""

EMBEDDED_READ_MILLISECONDS = 60_000
"""The same for the issuer in this process, which is there or is not: many log-ins at once are slow."""

TOKEN_SECONDS = 3600
"""The longest accepted remaining life of a token (contract/gateway.md, section 4.1)."""


def gateway_file(settings: Settings) -> KongFile:
    """The file that these settings run: the one they name, else the one that ships.

    Raises:
        KongFileError: It says something that is not executed.
    """
    named = settings.infrastructure.gateway.kong_file
    return load(Path(named).expanduser()) if named else parse(render(settings))


def gateway_text(settings: Settings, *, reveal: bool) -> str:
    """The text of the file that these settings run.

    Args:
        settings: The settings.
        reveal: Whether the password of Redis is shown in the file that ships.

    Raises:
        KongFileError: It cannot be read or made.
    """
    gateway = settings.infrastructure.gateway
    if gateway.kong_file:
        return read_text(Path(gateway.kong_file).expanduser())
    text = render(settings)
    password = urlsplit(gateway.redis_url).password
    if password and not reveal:
        text = text.replace(f"redis_password: {json.dumps(password)}", 'redis_password: "********"')
    return text


def render(settings: Settings) -> str:
    """The text of the file that ships.

    Raises:
        KongFileError: The realm's signing key in the settings cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, whose values are written as JSON
        keep_trailing_newline=True,
    )
    environment.filters["tojson"] = json.dumps
    return environment.get_template(TEMPLATE).render(variables(settings))


def variables(settings: Settings) -> dict[str, Any]:
    """What the template may use."""
    gateway, keycloak = settings.infrastructure.gateway, settings.infrastructure.auth.keycloak
    skew = keycloak.auth_clock_skew.total_seconds()
    return {
        "issuer": keycloak.issuer,
        "public_key": public_key(settings),
        "jwks_url": keycloak.jwks_url,
        "jwks_refresh_seconds": keycloak.refresh_jwks_interval.total_seconds(),
        "audience": keycloak.account,
        "authorized_parties": list(keycloak.client),
        "longest_token_seconds": int(TOKEN_SECONDS + skew),
        "realm_path": quote(keycloak.realm, safe=""),
        "realm_expression": re.escape(quote(keycloak.realm, safe="")),
        "identity": _identity(settings),
        "ports": service_ports_by_section(settings),
        "origins": list(gateway.cors_origins),
        "limits": _limits(settings),
        "rate_limits_enabled": gateway.rate_limits_enabled,
        "redis": _redis(gateway.redis_url),
        "request_megabytes": gateway.request_size_limit_mb,
        "stream_milliseconds": int(settings.services.llm_api.stream_timeout.total_seconds() * 1000),
    }


def _limits(settings: Settings) -> RateLimits:
    """The limits of the routes; a mistake is named by its setting, not by its place in the file."""
    limits = settings.infrastructure.gateway.rate_limits
    for name in RateLimits.model_fields:
        limit: RateLimit = getattr(limits, name)
        if limit.hour and limit.hour < limit.minute:
            place = f"infrastructure.gateway.rate_limits.{name}.hour"
            words = f"{limit.hour} is lower than the {limit.minute} requests that a minute may bring"
            raise KongFileError(place, words)
    return limits


def service_ports_by_section(settings: Settings) -> dict[str, int]:
    """The port of every service, by the name of its section in the settings."""
    return {name: getattr(settings.services, name).http_port for name in type(settings.services).model_fields}


def service_ports(settings: Settings) -> dict[str, int]:
    """The port of every service of the stack, by the host name under which the file knows it."""
    ports = {name.replace("_", "-"): port for name, port in service_ports_by_section(settings).items()}
    if settings.identity.mode == "embedded":
        ports["identity"] = settings.identity.http_port
    return ports


def public_key(settings: Settings) -> str:
    """The public part of the embedded realm's signing key in PEM; empty where a Keycloak has its own."""
    written = settings.identity.signing_key.get_secret_value().strip()
    if settings.identity.mode != "embedded" or not written:
        return ""
    try:
        data = written.encode("ascii")
        if not data.startswith(b"-----"):
            data = base64.b64decode(data, validate=True)
        read = load_pem_private_key if data.lstrip().startswith(b"-----") else load_der_private_key
        key = read(data, password=None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as failure:
        words = "JAN_REALM_SIGNING_KEY (identity.signing_key) is not a private key in PEM, base64, one line"
        raise KongFileError("", words) from failure
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _identity(settings: Settings) -> dict[str, Any]:
    """Where the issuer is, the path before its `/realms`, and how long it may take."""
    if settings.identity.mode == "embedded":
        return {
            "protocol": "http",
            "host": "identity",
            "port": settings.identity.http_port,
            "base": "",
            "read_milliseconds": EMBEDDED_READ_MILLISECONDS,
        }
    parts = urlsplit(settings.infrastructure.auth.keycloak.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "protocol": parts.scheme,
        "host": parts.hostname or "localhost",
        "port": port,
        "base": parts.path.rstrip("/"),
        "read_milliseconds": KEYCLOAK_READ_MILLISECONDS,
    }


def _redis(url: str) -> dict[str, Any]:
    """A Redis address as the rate-limiting plugin's fields; empty without an address."""
    if not url:
        return {}
    parts = urlsplit(url)
    database = parts.path.strip("/")
    return {
        "redis_host": parts.hostname or "127.0.0.1",
        "redis_port": parts.port or 6379,
        "redis_database": int(database) if database.isdigit() else 0,
        "redis_ssl": parts.scheme == "rediss",
        **({"redis_username": parts.username} if parts.username else {}),
        **({"redis_password": parts.password} if parts.password else {}),
    }
