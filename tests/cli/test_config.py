"""`jan config`: what an operator sees and changes."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from jan_cli.main import app

Jan = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def jan(home: Path, monkeypatch: pytest.MonkeyPatch) -> Jan:
    """Runs `jan config …` on an empty home folder, with nothing of this machine's environment."""
    for name in ("HTTP_PORT", "LOG_LEVEL", "DATABASE_URL", "JAN_PROFILES"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, ["--home", str(home), "config", *arguments], input=stdin)

    return run


def test_show_prints_everything_with_secrets_masked(jan: Jan) -> None:
    jan("set", "POSTGRES_PASSWORD", "do-not-show-me")

    result = jan("show")

    tree = yaml.safe_load(result.stdout)
    assert result.exit_code == 0
    assert tree["services"]["llm_api"]["http_port"] == 8080
    assert tree["infrastructure"]["database"]["postgres"]["password"] == "********"
    assert "do-not-show-me" not in result.output
    assert "do-not-show-me" in jan("show", "--reveal").stdout


@pytest.mark.parametrize("name", ["services.llm-api", "services.llm_api", "llm-api", "LLM-API"])
def test_show_takes_a_section_or_a_service_however_it_is_spelt(jan: Jan, name: str) -> None:
    assert json.loads(jan("show", name, "--json").stdout)["http_port"] == 8080
    assert json.loads(jan("show", name, "--format", "json").stdout)["http_port"] == 8080


def test_show_prints_one_value_bare(jan: Jan) -> None:
    assert jan("show", "services.llm-api.http-port", "--format", "value").stdout == "8080\n"
    assert jan("show", "services.llm-api", "--format", "value").exit_code == 1


def test_get_prints_the_value_and_nothing_else(jan: Jan) -> None:
    assert jan("get", "HTTP_PORT").stdout == "8080\n"
    assert jan("get", "infrastructure.auth.keycloak.client").stdout == "jan-client,jan-admin\n"
    assert json.loads(jan("get", "API_KEY_MAX_TTL", "--json").stdout) == {
        "key": "services.llm_api.api_key.max_ttl",
        "value": "2160h",
    }


def test_get_masks_a_secret_unless_it_is_asked_for(jan: Jan) -> None:
    jan("set", "REMOTE_API_KEY", "abc")

    assert jan("get", "REMOTE_API_KEY").stdout == "********\n"
    assert jan("get", "REMOTE_API_KEY", "--reveal").stdout == "abc\n"


def test_an_unknown_key_names_the_nearest(jan: Jan) -> None:
    result = jan("get", "services.llm-api.htpp-port")

    assert result.exit_code == 1
    assert "did you mean services.llm_api.http_port?" in result.stderr
    assert "Traceback" not in result.output


def test_explain_tells_value_source_and_what_it_overrode(
    jan: Jan, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jan("set", "services.llm-api.http-port", "9000")
    monkeypatch.setenv("HTTP_PORT", "9001")

    told = json.loads(jan("explain", "services.llm-api.http-port", "--json").stdout)

    assert told["value"] == "9001"
    assert told["source"] == "variable HTTP_PORT"
    assert told["overrode"] == [
        {"source": "jan.yaml line 4", "value": "9000"},
        {"source": "default", "value": "8080"},
    ]
    text = jan("explain", "HTTP_PORT").stdout
    assert "services.llm_api.http_port = 9001" in text
    assert "9000 (jan.yaml line 4)" in text


def test_explain_masks_what_a_secret_overrode(jan: Jan, monkeypatch: pytest.MonkeyPatch) -> None:
    jan("set", "REMOTE_API_KEY", "first-secret")
    monkeypatch.setenv("REMOTE_API_KEY", "second-secret")

    output = jan("explain", "REMOTE_API_KEY").output + jan("explain", "REMOTE_API_KEY", "--json").output

    assert "first-secret" not in output
    assert "second-secret" not in output
    assert "first-secret" in jan("explain", "REMOTE_API_KEY", "--reveal").stdout


def test_explain_lists_a_section(jan: Jan) -> None:
    result = jan("explain", "realtime-api")

    assert "livekit.ws_url" in result.stdout
    assert "ws://localhost:7880" in result.stdout


def test_set_keeps_comments_and_unset_gives_the_default_back(jan: Jan, home: Path) -> None:
    home.mkdir()
    (home / "jan.yaml").write_text("# ours\nserver:\n  public_host: here  # office\n")

    assert jan("set", "services.llm-api.http-port", "9000").exit_code == 0
    text = (home / "jan.yaml").read_text()
    assert "# ours" in text
    assert "# office" in text
    assert jan("get", "HTTP_PORT").stdout == "9000\n"

    assert jan("unset", "HTTP_PORT").exit_code == 0
    assert (home / "jan.yaml").read_text() == "# ours\nserver:\n  public_host: here  # office\n"
    again = jan("unset", "HTTP_PORT")
    assert again.exit_code == 1
    assert "is set neither in jan.yaml nor in .env" in again.stderr


def test_set_puts_a_secret_into_env_file_alone(jan: Jan, home: Path) -> None:
    result = jan("set", "serper-api-key", "x")
    assert result.exit_code == 1

    result = jan("set", "SERPER_API_KEY", stdin="from a pipe\n")

    assert result.exit_code == 0
    assert "from a pipe" not in result.output
    assert "SERPER_API_KEY='from a pipe'" in (home / ".env").read_text()
    assert not (home / "jan.yaml").exists()
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600


def test_set_takes_away_what_would_hide_the_new_value(jan: Jan, home: Path) -> None:
    home.mkdir()
    (home / ".env").write_text("LLM_API_HTTP_PORT=9000\nOTHER=1\n")

    jan("set", "services.llm-api.http-port", "9001")

    assert jan("get", "HTTP_PORT").stdout == "9001\n"
    assert (home / ".env").read_text() == "OTHER=1\n"


def test_set_warns_when_the_environment_hides_the_new_value(
    jan: Jan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PORT", "9005")

    result = jan("set", "services.llm-api.http-port", "9001")

    assert "jan.yaml: services.llm_api.http_port = 9001; but variable HTTP_PORT = 9005 wins" in result.stdout


def test_a_value_that_the_environment_hides_must_fit_all_the_same(
    jan: Jan, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PORT", "9005")

    result = jan("set", "services.llm-api.http-port", "8000")

    assert result.exit_code == 1
    assert "each needs a port of its own" in result.stderr
    assert not home.exists()


def test_unset_says_what_holds_now_and_nothing_of_a_server_that_does_not_run(jan: Jan) -> None:
    told = jan("set", "services.llm-api.http-port", "9000")
    assert "next start" not in told.output

    told = jan("unset", "services.llm-api.http-port")
    assert "services.llm_api.http_port: removed from " in told.stdout
    assert "jan.yaml; now 8080 (default)" in told.stdout
    assert "next start" not in told.output


def test_a_secret_that_was_made_is_not_removed_unasked_and_missed_afterwards(jan: Jan, home: Path) -> None:
    run = CliRunner().invoke(app, ["--home", str(home), "quickstart", "--yes"])
    assert run.exit_code == 0
    assert jan("validate").exit_code == 0

    asked = jan("unset", "JAN_REALM_SIGNING_KEY")
    assert asked.exit_code == 1
    assert "Every token that was issued stops working. Nobody is there to answer." in asked.stderr
    assert "Add --yes" in asked.stderr

    assert jan("unset", "JAN_REALM_SIGNING_KEY", "--yes").exit_code == 0
    found = jan("validate")
    assert found.exit_code == 1
    assert "JAN_REALM_SIGNING_KEY: is missing and needed; jan quickstart --yes makes it" in found.stderr
    doctor = CliRunner().invoke(app, ["--home", str(home), "doctor"])
    assert doctor.exit_code == 1
    assert "jan quickstart --yes" in doctor.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("services.llm-api.http-port", "many"), "must be a whole number, but it is 'many'"),
        (("identity.mode", "embeded"), "did you mean embedded?"),
        (("inference.provider", "remote"), "inference.remote.url: is needed"),
        (("services.llm-api.http-port",), "The value of services.llm_api.http_port is missing"),
        (("services.llm-api", "3"), "is a section; name one key in it"),
        (("server.listen_address", "bogus.invalid"), "server.listen_address: must be an IP address"),
        (("inference.llamacpp.model", "nosuch"), "inference.llamacpp.model: there is no model 'nosuch' here"),
    ],
)
def test_set_refuses_nonsense_and_writes_nothing(
    jan: Jan, home: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = jan("set", *arguments)

    assert result.exit_code == 1
    assert said in result.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("key", "text", "in_file"),
    [
        ("infrastructure.auth.keycloak.client", "a,b", ["a", "b"]),
        ("services.llm-api.auto-migrate", "no", False),
        ("services.llm-api.stream-timeout", "5m0s", "5m"),
        ("server.public-host", "1", "1"),
    ],
)
def test_set_writes_the_type_that_the_key_has(
    jan: Jan, home: Path, key: str, text: str, in_file: object
) -> None:
    assert jan("set", key, text).exit_code == 0

    tree = yaml.safe_load((home / "jan.yaml").read_text())
    for name in key.replace("-", "_").split("."):
        tree = tree[name]
    assert tree == in_file


def test_validate_is_quiet_about_a_good_configuration(jan: Jan) -> None:
    result = jan("validate")

    assert result.exit_code == 0
    assert "valid (profiles: local)" in result.stdout


def test_validate_lists_every_problem_of_another_file(jan: Jan, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("services:\n  llm_api:\n    htpp_port: 1\nserver:\n  drain_timeout: soon\n")

    result = jan("validate", "--file", str(other))

    assert result.exit_code == 1
    assert f"services.llm_api.htpp_port ({other} line 3): unknown key" in result.stderr
    told = json.loads(jan("validate", "-f", str(other), "--json").stdout)
    assert told["valid"] is False
    assert [problem["key"] for problem in told["problems"]] == [
        "services.llm_api.htpp_port",
        "server.drain_timeout",
    ]
    assert jan("validate", "-f", str(tmp_path / "none.yaml")).exit_code == 1


def test_export_writes_a_private_file_that_docker_reads(jan: Jan, tmp_path: Path) -> None:
    jan("set", "POSTGRES_PASSWORD", "abc")
    target = tmp_path / "jan.env"

    result = jan("export", "--format", "docker-env", "--reveal", "-o", str(target))

    assert result.exit_code == 0
    lines = target.read_text().splitlines()
    assert "POSTGRES_PASSWORD=abc" in lines
    assert "KONG_HTTP_PORT=8000" in lines
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_export_is_the_same_every_time_and_hides_secrets(jan: Jan) -> None:
    jan("set", "POSTGRES_PASSWORD", "abc")
    first = jan("export").stdout

    assert jan("export").stdout == first
    assert "export KONG_HTTP_PORT=8000" in first
    assert "# POSTGRES_PASSWORD is set" in first
    assert "export MY_KONG_HTTP_PORT=8000" in jan("export", "--prefix", "MY_").stdout


def test_a_broken_configuration_is_an_error_without_a_traceback(jan: Jan, home: Path) -> None:
    home.mkdir()
    (home / "jan.yaml").write_text("services: [\n")

    result = jan("show")

    assert result.exit_code == 1
    assert "is not valid YAML" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", ["", "show", "get", "validate", "explain", "export", "set", "unset"])
def test_every_help_has_an_example(jan: Jan, command: str) -> None:
    result = jan(*([command] if command else []), "--help")

    assert result.exit_code == 0
    assert "Example: jan config" in result.stdout


def test_the_installed_command_answers(home: Path) -> None:
    environment = {"JAN_HOME": str(home), "PATH": "/usr/bin:/bin", "KONG_HTTP_PORT": "9999"}

    result = subprocess.run(
        [sys.executable, "-m", "jan_cli", "config", "get", "KONG_HTTP_PORT"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "9999\n", "")


def test_a_model_file_is_kept_with_its_whole_path(
    jan: Jan, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)

    assert jan("set", "inference.llamacpp.model", "own.gguf").exit_code == 0
    assert jan("get", "inference.llamacpp.model").stdout == f"{tmp_path / 'own.gguf'}\n"
