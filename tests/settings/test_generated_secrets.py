"""The secrets that the platform makes: strong, made once, readable by the owner alone."""

import base64
import stat
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from jan_server.settings.generated_secrets import GENERATED, ensure_secrets
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys
from jan_server.settings.loading import load_settings, value_of


def test_every_secret_is_made_and_reaches_the_settings(home: JanHome) -> None:
    made = ensure_secrets(home, environ={})

    settings = load_settings(home, environ={}).settings
    values = [value_of(settings, secret.key).get_secret_value() for secret in GENERATED]
    assert made == tuple(secret.variable for secret in GENERATED)
    assert len(set(values)) == len(GENERATED)
    assert min(map(len, values)) >= 24
    assert all(all_keys()[secret.key].secret for secret in GENERATED)


def test_they_satisfy_the_rules_of_production(home: JanHome) -> None:
    ensure_secrets(home, environ={})

    load_settings(home, environ={"ENVIRONMENT": "production"})


def test_only_the_owner_can_read_them(home: JanHome) -> None:
    ensure_secrets(home, environ={})

    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_what_is_there_stays_to_the_byte(home: JanHome) -> None:
    ensure_secrets(home, environ={})
    before = home.env_file.read_bytes()

    assert ensure_secrets(home, environ={}) == ()
    assert home.env_file.read_bytes() == before


def test_a_secret_under_any_of_its_names_counts(filled_home: Callable[..., JanHome]) -> None:
    home = filled_home(env="VLLM_API_KEY=mine # chosen\n")

    made = ensure_secrets(home, environ={"POSTGRES_PASSWORD": "from outside"})

    assert "VLLM_INTERNAL_KEY" not in made
    assert "POSTGRES_PASSWORD" not in made
    assert home.env_file.read_text().startswith("VLLM_API_KEY=mine # chosen\n")


def test_the_signing_key_is_an_rsa_key_on_one_line(home: JanHome) -> None:
    ensure_secrets(home, environ={})

    key = load_settings(home, environ={}).settings.identity.signing_key.get_secret_value()
    private = load_pem_private_key(base64.b64decode(key), password=None)
    assert isinstance(private, RSAPrivateKey)
    assert private.key_size == 2048
    assert "\n" not in key
