"""The secrets that the platform makes for itself: once, random, kept in .env and never overwritten."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jan_server.settings.env_file import change_env, read_env
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys
from jan_server.settings.loading import value_of
from jan_server.settings.private_file import write_private
from jan_server.settings.tree import Settings
from jan_server.settings.yaml_file import read_text

MASK = "********"
"""What stands for a secret that is not shown."""


def random_password() -> str:
    """Make a password of 24 letters and digits (about 143 bits)."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(alphabet) for _ in range(24))


def random_key() -> str:
    """Make 32 random bytes, as URL-safe base64 of 44 characters."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def signing_key() -> str:
    """Make a private RSA key of 2048 bits: PKCS#8 PEM, in base64 on one line, so that .env holds it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(pem).decode()


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A secret that the platform makes.

    Attributes:
        key: The setting that holds it.
        make: Makes a new one.
        loss: What is lost with it, in words for people.
        needed: Whether the platform cannot do without it.
    """

    key: str
    make: Callable[[], str]
    loss: str
    needed: bool = False

    @property
    def variable(self) -> str:
        """Its name in .env."""
        return all_keys()[self.key].variable


GENERATED = (
    GeneratedSecret(
        "infrastructure.database.postgres.password",
        random_password,
        "A PostgreSQL in a container that was set up with it refuses another one.",
    ),
    GeneratedSecret(
        "infrastructure.auth.keycloak.admin_password",
        random_password,
        "A Keycloak that was set up with it refuses another one.",
    ),
    GeneratedSecret(
        "infrastructure.auth.keycloak.backend_client_secret",
        random_key,
        "Programs that log in as the backend client need the new one.",
        needed=True,
    ),
    GeneratedSecret(
        "identity.application_admin_password",
        random_password,
        "jan users, jan usage and jan token --admin cannot log in without it.",
        needed=True,
    ),
    GeneratedSecret(
        "identity.signing_key", signing_key, "Every token that was issued stops working.", needed=True
    ),
    GeneratedSecret(
        "identity.header_secret", random_key, "Services do not trust one another without it.", needed=True
    ),
    GeneratedSecret(
        "services.llm_api.api_key.secret",
        random_key,
        "Every API key that was made stops working.",
        needed=True,
    ),
    GeneratedSecret(
        "services.llm_api.model_provider_secret",
        random_key,
        "The keys of providers in the database cannot be read without it.",
        needed=True,
    ),
    GeneratedSecret(
        "services.memory_tools.api_key", random_key, "Callers of the memory service need the new one."
    ),
    GeneratedSecret(
        "inference.vllm.internal_key", random_key, "A vLLM that runs with it refuses another one."
    ),
    GeneratedSecret(
        "monitoring.grafana.admin_password",
        random_password,
        "A Grafana that was set up with it refuses another one.",
    ),
)
"""Every secret that is made, in the order in which .env gets them."""


def lacking(settings: Settings) -> tuple[str, ...]:
    """Name the secrets, by variable, that the platform needs and that have no value."""
    return tuple(
        secret.variable
        for secret in GENERATED
        if secret.needed
        and not (secret.key == "identity.signing_key" and settings.identity.mode == "keycloak")
        and not value_of(settings, secret.key).get_secret_value()
    )


def missing_secrets(present: Mapping[str, str]) -> dict[str, str]:
    """Make every secret that has no value yet.

    Args:
        present: What is set already, by variable; any name of the setting counts.

    Returns:
        The new secrets, by variable.
    """
    return {
        secret.variable: secret.make()
        for secret in GENERATED
        if not any(present.get(name) for name in all_keys()[secret.key].variables)
    }


def ensure_secrets(home: JanHome, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Make the missing secrets and write them into .env; what is there stays.

    Args:
        home: The home folder; it is made when it is missing.
        environ: The process environment, whose secrets count as present.

    Returns:
        The variables that were added.

    Raises:
        SettingsError: .env cannot be read.
        OSError: .env cannot be written.
    """
    text = read_text(home.env_file)
    present = {line.name: line.value for line in read_env(text)}
    made = missing_secrets({**present, **(os.environ if environ is None else environ)})
    if made:
        home.prepare()
        write_private(home.env_file, change_env(text or ENV_HEADER, made))
    return tuple(made)


ENV_HEADER = """\
# Secrets of Jan Server, for your eyes only. A name that stands in the environment wins over its line here.
# `jan config explain NAME` says what a name means.
"""
"""How a new .env begins."""


def masked(value: str) -> str:
    """Show whether a secret is set without showing it."""
    return MASK if value else ""
