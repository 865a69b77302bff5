"""Exports: real names, fixed order, and what was exported can be loaded again."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jan_server.settings.env_file import change_env, read_env
from jan_server.settings.exporters import as_text, export, plain
from jan_server.settings.home import JanHome
from jan_server.settings.keys import all_keys
from jan_server.settings.loading import load_settings
from jan_server.settings.tree import Settings, flat

CHANGED: dict[str, Any] = {
    "infrastructure": {
        "auth": {"keycloak": {"client": ["web", "phone"], "admin_password": "s3cret $value 'quoted'"}},
        "gateway": {"rate_limits": {"llm_api_v1": {"minute": 7}}},
    },
    "services": {"llm_api": {"auto_migrate": False, "http_port": 9080, "log_level": "warn"}},
    "inference": {"providers": [{"name": "a", "url": "http://h/v1", "api_key": "k"}]},
    "monitoring": {"otel": {"headers": {"x-key": "v"}, "metric_interval": "90s"}},
}


def docker_variables(text: str) -> dict[str, str]:
    """What Docker makes of an env file: everything after the first equals sign."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_docker_env_is_loaded_again_as_the_same_settings(home: JanHome) -> None:
    before = Settings.model_validate(CHANGED)

    variables = docker_variables(export(before, "docker-env", reveal=True))

    assert load_settings(home, environ=variables).settings == before


def test_a_shell_reads_env_as_it_was_meant(home: JanHome) -> None:
    before = Settings.model_validate(CHANGED)
    script = export(before, "env", reveal=True) + "env -0\n"

    output = subprocess.run(["sh"], input=script, env={}, capture_output=True, text=True, check=True).stdout

    variables = dict(line.split("=", 1) for line in output.split("\0") if line)
    assert load_settings(home, environ=variables).settings == before


def test_names_are_those_that_are_read_and_the_order_is_the_trees() -> None:
    names = [line.split("=")[0] for line in export(Settings(), "docker-env").splitlines()]

    assert names == [setting.variable for setting in all_keys().values()]


def test_a_prefix_stands_before_every_name() -> None:
    lines = export(Settings(), "env", prefix="JAN_COPY_").splitlines()

    assert all(line.startswith("export JAN_COPY_") for line in lines)


def test_secrets_are_left_out_or_masked_unless_they_are_asked_for() -> None:
    tree = Settings.model_validate(CHANGED)

    for form in ("env", "docker-env", "json", "yaml"):
        assert "s3cret" not in export(tree, form)
        assert "s3cret" in export(tree, form, reveal=True)
    assert "# KEYCLOAK_ADMIN_PASSWORD is set; --reveal writes it" in export(tree, "env")
    assert json.loads(export(tree, "json"))["inference"]["providers"][0]["api_key"] == "********"


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_trees_are_loaded_again_as_the_same_settings(form: str, read: Any) -> None:
    before = Settings.model_validate(CHANGED)

    assert Settings.model_validate(read(export(before, form, reveal=True))) == before


def test_what_a_docker_env_file_cannot_hold_is_named() -> None:
    tree = Settings(meta={"environment": "a\nb"})

    with pytest.raises(ValueError, match=r"meta\.environment has several lines"):
        export(tree, "docker-env")


@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    port=st.integers(1, 65535),
    rate=st.floats(0, 1),
    seconds=st.integers(0, 10**6),
    on=st.booleans(),
)
@settings(max_examples=40)
def test_any_values_survive_the_way_through_an_env_file(
    text: str, port: int, rate: float, seconds: int, on: bool
) -> None:
    before = Settings.model_validate(
        {
            "server": {"drain_timeout": f"{seconds}s"},
            "meta": {"environment": text},
            "services": {"llm_api": {"http_port": port, "auto_migrate": on}},
            "monitoring": {"otel": {"sampling_rate": rate}},
        }
    )
    file = change_env(
        "",
        {all_keys()[key].variable: as_text(value) for key, value in flat(plain(before, reveal=True)).items()},
    )
    environ = {line.name: line.value for line in read_env(file)}

    assert load_settings(Path("/nonexistent"), environ=environ).settings == before
