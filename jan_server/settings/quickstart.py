"""What the answers of the quickstart change: the new jan.yaml and .env, checked before they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jan_server.settings.env_file import change_env, read_env
from jan_server.settings.exporters import plain
from jan_server.settings.generated_secrets import ENV_HEADER, missing_secrets, random_key
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys
from jan_server.settings.loading import LoadedSettings, load_settings
from jan_server.settings.private_file import write_private
from jan_server.settings.questions import Answers
from jan_server.settings.tree import Settings
from jan_server.settings.yaml_file import change_yaml, read_text

PROVIDER_PROFILES = {"builtin": "local", "remote": "remote", "vllm-gpu": "vllm-gpu", "vllm-cpu": "vllm-cpu"}
"""The profile that belongs to each source of answers."""

CONFIG_HEADER = """\
# Settings of Jan Server. `jan config explain KEY` says what a key means, and where its value comes from.
"""
"""How a new jan.yaml begins."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the answers change; nothing is written yet.

    Attributes:
        config_text: The new content of jan.yaml.
        env_text: The new content of .env.
        made: The variables whose secrets are new.
        loaded: The settings that will hold.
        overruled: Variables of the environment that win over an answer, each with its key.
    """

    config_text: str
    env_text: str
    made: tuple[str, ...]
    loaded: LoadedSettings
    overruled: tuple[tuple[str, str], ...]


def plan(home: JanHome, answers: Answers, environ: Mapping[str, str]) -> Plan:
    """Work out the new files and check that they can be loaded.

    Raises:
        SettingsError: The answers and what already stands in the files do not go together.
    """
    config_before, env_before = read_text(home.config_file), read_text(home.env_file)
    before = load_settings(home, environ=environ, combinations=False).settings
    values = _settings_of(answers, before)
    config_text = _config_text(home, config_before, values)

    # A variable in .env wins over jan.yaml, so an earlier one would hide the answer.
    stale = {name: None for key in values for name in all_keys()[key].variables}
    present = {line.name: line.value for line in read_env(env_before) if line.name not in stale}
    # A secret that the environment holds stays there; writing it down was not asked for.
    given = {name: value for name, value in _secrets_of(answers).items() if environ.get(name) != value}
    made = missing_secrets({**present, **given, **environ})
    if answers.realtime:
        made |= {
            name: random_key().rstrip("=")
            for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
            if not given.get(name) and not environ.get(name)
        }
    changed = {name: value for name, value in given.items() if present.get(name, "") != value}
    removed = {name: None for name in stale if name in {line.name for line in read_env(env_before)}}
    env_text = change_env(env_before or ENV_HEADER, {**removed, **changed, **made})

    loaded = load_settings(home, environ=environ, config_text=config_text, env_text=env_text)
    overruled = tuple(
        (loaded.provenance[key].source.removeprefix("variable "), key)
        for key, value in values.items()
        if loaded.provenance[key].source.startswith("variable ")
        and plain(loaded.provenance[key].value) != value
    )
    return Plan(config_text, env_text, tuple(made), loaded, overruled)


def write(home: JanHome, prepared: Plan) -> None:
    """Write the files of a plan: each whole or not at all, the secrets first.

    Raises:
        OSError: A file cannot be written.
    """
    home.prepare()
    write_private(home.env_file, prepared.env_text)
    write_private(home.config_file, prepared.config_text)


def _config_text(home: JanHome, before: str, values: Mapping[str, Any]) -> str:
    """Write the answers into jan.yaml, but leave out what the profiles and the defaults say anyway.

    So the file stays short, and a profile that is named later (`jan up --profile full`) is not held back
    by answers that nobody gave.
    """
    others = change_yaml(before or CONFIG_HEADER, dict.fromkeys(values))
    profiles = values["meta.profiles"]
    without = load_settings(home, profiles, environ={}, config_text=others, env_text="", combinations=False)
    needed = {
        key: value if key == "meta.profiles" or plain(without.provenance[key].value) != value else None
        for key, value in values.items()
    }
    return change_yaml(before or CONFIG_HEADER, needed)


def _settings_of(answers: Answers, before: Settings) -> dict[str, Any]:
    """Say what the answers make of the settings; None leaves a key to the profiles."""
    remote = answers.provider == "remote"
    own = {*PROVIDER_PROFILES.values(), "monitoring", "keycloak"}
    # A Keycloak that somebody else runs stays theirs.
    elsewhere = before.identity.mode == "keycloak" and not before.infrastructure.auth.keycloak.managed
    managed = answers.identity == "keycloak" and not elsewhere
    chosen = [
        PROVIDER_PROFILES[answers.provider],
        *(name for name in before.meta.profiles if name not in own),
        *(["monitoring"] if answers.monitoring else []),
        *(["keycloak"] if managed else []),
    ]
    values: dict[str, Any] = {
        "meta.profiles": chosen,
        "server.listen_address": answers.listen_address,
        "identity.mode": None if managed else answers.identity,
        "inference.provider": None,
        "inference.remote.enabled": remote or not before.inference.remote.url,
        "services.mcp_tools.search_engine": answers.search,
        "services.memory_tools.enabled": answers.memory,
        # These three follow the one above.
        "services.llm_api.memory.enabled": None,
        "services.llm_api.prompt_orchestration.enable_memory": None,
        "services.mcp_tools.enable_memory_retrieve": None,
        "services.media_api.enabled": answers.media != "off",
        "services.realtime_api.enabled": answers.realtime,
    }
    for engine in ("serper", "exa", "tavily", "searxng"):
        values[f"services.mcp_tools.{engine}_enabled"] = None
    if answers.monitoring:
        values["monitoring.otel.enabled"] = None
    if answers.provider == "builtin":
        values["inference.llamacpp.model"] = answers.model
    elif remote:
        values["inference.remote.url"] = answers.remote_url
    else:
        values |= {"inference.vllm.model": answers.model, "inference.vllm.enabled": None}
    if answers.search == "searxng":
        values["services.mcp_tools.searxng_url"] = answers.searxng_url
    if answers.memory:
        values["services.memory_tools.embedding.base_url"] = answers.embedding_url or None
    if answers.media != "off":
        values["services.media_api.storage_backend"] = answers.media
    if answers.media == "s3":
        values |= {
            "services.media_api.s3.endpoint": answers.s3_endpoint,
            "services.media_api.s3.region": answers.s3_region,
            "services.media_api.s3.bucket": answers.s3_bucket,
            "services.media_api.s3.url_enabled": bool(answers.s3_public_endpoint),
            "services.media_api.s3.public_endpoint": answers.s3_public_endpoint or None,
        }
    if answers.realtime:
        values["services.realtime_api.livekit.ws_url"] = answers.livekit_url
    return values


def _secrets_of(answers: Answers) -> dict[str, str]:
    """Say which secrets the answers hold, by variable."""
    held = {
        "REMOTE_API_KEY": answers.remote_api_key if answers.provider == "remote" else "",
        "HF_TOKEN": answers.hf_token if answers.provider.startswith("vllm") else "",
        "MEDIA_S3_ACCESS_KEY_ID": answers.s3_access_key if answers.media == "s3" else "",
        "MEDIA_S3_SECRET_ACCESS_KEY": answers.s3_secret_key if answers.media == "s3" else "",
        "LIVEKIT_API_KEY": answers.livekit_api_key if answers.realtime else "",
        "LIVEKIT_API_SECRET": answers.livekit_api_secret if answers.realtime else "",
    }
    if answers.search in ("serper", "exa", "tavily"):
        held[f"{answers.search.upper()}_API_KEY"] = answers.search_api_key
    return {name: value for name, value in held.items() if value}
