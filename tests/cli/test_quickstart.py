"""`jan quickstart`: with flags, with answers at a terminal, and interrupted."""

import json
import os
import pty
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from jan_cli.main import app
from jan_server.settings.env_file import read_env
from jan_server.settings.loading import LoadedSettings, load_settings
from tests.doubles.model_list import ModelListDouble, model_list_double
from tests.running_stack import StackHome

Jan = Callable[..., Result]

DEADLINE_SECONDS = 60.0
CTRL_C = b"\x03"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def quickstart(home: Path, monkeypatch: pytest.MonkeyPatch) -> Jan:
    """Runs `jan quickstart …` on an empty home folder."""
    for name in ("REMOTE_API_KEY", "SERPER_API_KEY", "JAN_PROFILES", "JAN_LLM_PROVIDER"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["--home", str(home), "quickstart", *arguments])

    return run


@pytest.fixture
def provider() -> Iterator[ModelListDouble]:
    with model_list_double() as double:
        yield double


def loaded(home: Path) -> LoadedSettings:
    return load_settings(home, environ={})


def env_values(home: Path) -> dict[str, str]:
    return {line.name: line.value for line in read_env((home / ".env").read_text())}


def test_yes_alone_makes_a_working_configuration(quickstart: Jan, home: Path) -> None:
    result = quickstart("--yes")

    assert result.exit_code == 0
    assert f"jan --home {home} up" in result.stdout
    assert str(home / ".env") in result.stdout
    settings = loaded(home).settings
    assert settings.inference.provider == "builtin"
    assert settings.identity.signing_key.get_secret_value()
    assert yaml.safe_load((home / "jan.yaml").read_text()) == {"meta": {"profiles": ["local"]}}
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600


def test_no_secret_is_printed(quickstart: Jan, home: Path) -> None:
    output = quickstart("--yes").output + quickstart("--yes", "--json").output

    assert [name for name, value in env_values(home).items() if value in output] == []


def test_a_second_run_changes_nothing(quickstart: Jan, home: Path) -> None:
    quickstart("--yes", "--search", "searxng", "--searxng-url", "http://search.example", "--memory")
    before = (home / "jan.yaml").read_bytes(), (home / ".env").read_bytes()

    told = json.loads(quickstart("--yes", "--json").stdout)

    assert ((home / "jan.yaml").read_bytes(), (home / ".env").read_bytes()) == before
    assert told["secrets_made"] == []


def test_json_tells_where_things_are(quickstart: Jan, home: Path) -> None:
    told = json.loads(quickstart("--yes", "--json").stdout)

    assert told["home"] == str(home)
    assert told["profiles"] == ["local"]
    assert "JAN_REALM_SIGNING_KEY" in told["secrets_made"]
    assert told["next"] == f"jan --home {home} up"


def test_a_remote_provider_is_asked_before_it_is_accepted(
    quickstart: Jan, home: Path, provider: ModelListDouble
) -> None:
    flags = ("--yes", "--provider", "remote", "--remote-url", provider.url)

    refused = quickstart(*flags, "--remote-api-key", "wrong")
    assert refused.exit_code == 1
    assert "refuses the key" in refused.stderr
    assert not home.exists()

    assert quickstart(*flags, "--remote-api-key", "right-key").exit_code == 0
    settings = loaded(home).settings
    assert settings.inference.provider == "remote"
    assert settings.inference.remote.url == provider.url
    assert env_values(home)["REMOTE_API_KEY"] == "right-key"
    assert "right-key" not in (home / "jan.yaml").read_text()


def test_a_key_in_the_environment_is_used_and_not_written_down(
    quickstart: Jan, home: Path, provider: ModelListDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_API_KEY", "right-key")

    assert quickstart("--yes", "--provider", "remote", "--remote-url", provider.url).exit_code == 0
    assert "right-key" not in (home / ".env").read_text()


def test_going_back_to_the_built_in_model_keeps_the_address_for_later(
    quickstart: Jan, home: Path, provider: ModelListDouble
) -> None:
    provider.key = ""
    quickstart("--yes", "--provider", "remote", "--remote-url", provider.url)
    quickstart("--yes", "--provider", "builtin")

    remote = loaded(home).settings.inference.remote
    assert (remote.url, remote.enabled) == (provider.url, False)
    assert loaded(home).settings.inference.provider == "builtin"
    quickstart("--yes", "--provider", "remote")
    assert loaded(home).settings.inference.remote.enabled


def test_every_question_has_a_flag(quickstart: Jan, home: Path) -> None:
    result = quickstart(
        "--yes", "--no-check", "--provider", "remote", "--remote-url", "https://api.example.com/v1",
        "--remote-api-key", "k1", "--search", "tavily", "--search-api-key", "k2", "--memory",
        "--embedding-url", "http://embed.example", "--media", "s3", "--s3-endpoint", "http://s3.example",
        "--s3-region", "eu", "--s3-bucket", "media", "--s3-access-key", "k3", "--s3-secret-key", "k4",
        "--s3-public-endpoint", "https://cdn.example", "--realtime", "--livekit-url", "wss://live.example",
        "--livekit-api-key", "k5", "--livekit-api-secret", "k6" * 16, "--monitoring",
        "--listen-address", "0.0.0.0", "--identity", "embedded",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    settings = loaded(home).settings
    services = settings.services
    assert settings.meta.profiles == ("remote", "monitoring")
    assert settings.server.listen_address == "0.0.0.0"
    assert settings.monitoring.otel.enabled
    assert services.mcp_tools.search_engine == "tavily"
    assert services.memory_tools.enabled
    assert services.llm_api.prompt_orchestration.enable_memory
    assert services.memory_tools.embedding.base_url == "http://embed.example"
    assert services.media_api.s3.public_endpoint == "https://cdn.example"
    assert services.realtime_api.livekit.ws_url == "wss://live.example"
    secrets = {"k1", "k2", "k3", "k4", "k5", "k6" * 16}
    assert secrets <= set(env_values(home).values())
    assert not any(secret in (home / "jan.yaml").read_text() for secret in secrets)


def test_answers_of_parts_that_this_version_lacks_are_kept_and_said(quickstart: Jan) -> None:
    told = json.loads(quickstart("--yes", "--json", "--realtime").stdout)

    from jan_server.stack.catalogue import names

    assert ("realtime-api" in told["not_yet_available"]) == ("realtime-api" not in names())


def test_livekit_keys_are_made_when_none_are_given(quickstart: Jan, home: Path) -> None:
    quickstart("--yes", "--realtime")
    first = env_values(home)["LIVEKIT_API_SECRET"]
    quickstart("--yes")

    assert len(first) > 30
    assert env_values(home)["LIVEKIT_API_SECRET"] == first


def test_comments_and_other_settings_stay(quickstart: Jan, home: Path) -> None:
    home.mkdir()
    (home / "jan.yaml").write_text("# ours\nservices:\n  llm-api:\n    http-port: 9000 # free\n")
    (home / ".env").write_text("# mine\nPOSTGRES_PASSWORD=chosen # by hand\n")

    quickstart("--yes", "--memory")

    assert "# ours" in (home / "jan.yaml").read_text()
    assert "http-port: 9000 # free" in (home / "jan.yaml").read_text()
    assert (home / ".env").read_text().startswith("# mine\nPOSTGRES_PASSWORD=chosen # by hand\n")


def test_an_old_variable_in_env_file_does_not_hide_an_answer(quickstart: Jan, home: Path) -> None:
    home.mkdir()
    (home / ".env").write_text("MEMORY_ENABLED=true\nJAN_LISTEN_ADDRESS=0.0.0.0\n")

    quickstart("--yes", "--no-memory", "--listen-address", "127.0.0.1")

    settings = loaded(home).settings
    assert not settings.services.llm_api.memory.enabled
    assert settings.server.listen_address == "127.0.0.1"


def test_a_variable_of_the_environment_that_hides_an_answer_is_named(
    quickstart: Jan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAN_LISTEN_ADDRESS", "0.0.0.0")

    result = quickstart("--yes", "--listen-address", "127.0.0.1")

    assert "The variable JAN_LISTEN_ADDRESS in the environment wins" in result.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--yes", "--provider", "remote"), "--remote-url: is needed"),
        (("--yes", "--model", "nosuch"), "--model: there is no model 'nosuch' here"),
        (("--yes", "--model", "/none/model.gguf"), "--model: the model file /none/model.gguf is not there"),
        (("--yes", "--search", "serper"), "--search-api-key: is needed"),
        (("--yes", "--realtime", "--livekit-api-secret", "short"), "needs at least 32 characters"),
        (("--yes", "--media", "s3"), "--s3-endpoint: is needed"),
        (("--yes", "--listen-address", "not an address"), "--listen-address: must be an IP address"),
        (("--yes", "--listen-address", "bogus.invalid"), "that can be resolved, but it is 'bogus.invalid'"),
        (("--yes", "--provider", "remote", "--remote-url", "api.example.com"), "must look like http://host"),
        ((), "nobody is there to answer"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_nothing_is_written(
    quickstart: Jan, home: Path, flags: tuple[str, ...], said: str
) -> None:
    result = quickstart(*flags)

    assert result.exit_code == 1
    assert said in result.stderr
    assert not home.exists()


def test_a_flag_that_its_answers_make_useless_is_a_warning(quickstart: Jan) -> None:
    result = quickstart("--yes", "--s3-bucket", "media")

    assert result.exit_code == 0
    assert "--s3-bucket has no effect" in result.stderr


def test_one_secret_is_one(quickstart: Jan, home: Path) -> None:
    quickstart("--yes")
    values = (home / ".env").read_text().splitlines(keepends=True)
    (home / ".env").write_text("".join(line for line in values if not line.startswith("POSTGRES_PASSWORD=")))

    assert "1 secret was made" in quickstart("--yes").stdout


def test_a_running_server_is_to_be_started_anew(running_database: StackHome) -> None:
    assert "down && jan" in running_database.inside("quickstart", "--yes").stdout


def test_a_half_finished_configuration_can_be_finished(quickstart: Jan, home: Path) -> None:
    home.mkdir()
    (home / "jan.yaml").write_text("meta: {profiles: [remote]}\n")

    result = quickstart("--yes", "--no-check", "--remote-url", "https://api.example.com/v1")

    assert result.exit_code == 0
    assert loaded(home).settings.inference.provider == "remote"


class Terminal:
    """A person at a terminal: `jan quickstart` in a pseudo-terminal of its own."""

    def __init__(self, home: Path, arguments: Sequence[str] = ()) -> None:
        self.screen = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "jan_cli", "--home", str(home), "quickstart", *arguments]
            os.execve(sys.executable, command, {"PATH": os.defpath, "TERM": "dumb", "COLUMNS": "200"})
        self.deadline = time.monotonic() + DEADLINE_SECONDS

    def expect(self, words: str) -> None:
        """Reads until the words stand on the screen, and forgets what was before them."""
        while words not in self.screen:
            assert self.read(), f"the command ended before {words!r}; the screen shows:\n{self.screen}"
        self.screen = self.screen.partition(words)[2]

    def answer(self, question: str, text: str) -> None:
        self.expect(question)
        os.write(self.descriptor, text.encode() + b"\n")

    def read(self, interrupt: bool = False) -> bool:
        """Waits for more on the screen; False once the command has ended."""
        while not select.select([self.descriptor], [], [], 0.5)[0]:
            if time.monotonic() > self.deadline:
                os.kill(self.pid, signal.SIGKILL)
                pytest.fail(f"nothing more came; the screen shows:\n{self.screen}")
            if interrupt:
                os.write(self.descriptor, CTRL_C)
        try:
            found = os.read(self.descriptor, 4096)
        except OSError:  # how Linux says that the other end is closed
            found = b""
        self.screen += found.decode(errors="replace")
        return bool(found)

    def finish(self, interrupt: bool = False) -> tuple[int, str]:
        """Waits for the end; gives the exit code and what was last on the screen.

        A program can miss a Ctrl-C that comes just before it waits for input; a person presses it again.
        """
        while self.read(interrupt):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status), self.screen


def test_at_a_terminal_questions_are_asked_secrets_do_not_echo_and_a_wrong_key_is_asked_again(
    home: Path, provider: ModelListDouble
) -> None:
    terminal = Terminal(home, ["--no-memory", "--media", "local", "--no-realtime"])
    terminal.answer("Number or name", "2")
    terminal.answer("up to and including /v1", "api.example.com")
    terminal.expect("must look like http://host")
    terminal.answer("up to and including /v1", provider.url)
    terminal.answer("Key of the provider", "wrong-key")
    terminal.expect("refuses the key")
    terminal.answer("Keep it anyway?", "n")
    terminal.answer("up to and including /v1", "")
    terminal.answer("Key of the provider", "right-key")
    terminal.answer("Which search engine", "")
    terminal.answer("Send traces and metrics?", "y")
    terminal.answer("Address to listen on", "")
    code, screen = terminal.finish()

    assert code == 0, screen
    assert "right-key" not in screen
    assert "wrong-key" not in screen
    assert "Next: jan" in screen
    settings = loaded(home).settings
    assert settings.inference.remote.api_key.get_secret_value() == "right-key"
    assert settings.meta.profiles == ("remote", "monitoring")


def test_a_model_that_is_not_there_is_asked_for_again(home: Path) -> None:
    terminal = Terminal(
        home,
        [
            "--provider",
            "builtin",
            "--search",
            "none",
            "--no-memory",
            "--media",
            "local",
            "--no-realtime",
            "--no-monitoring",
        ],
    )
    terminal.answer("Model", "nosuch")
    terminal.expect("there is no model 'nosuch' here")
    terminal.answer("Model", "smollm2-135m-instruct")
    terminal.answer("Address to listen on", "")
    code, screen = terminal.finish()

    assert code == 0, screen


def test_a_provider_that_does_not_answer_may_be_kept(home: Path) -> None:
    terminal = Terminal(
        home,
        [
            *("--provider", "remote", "--search", "none", "--media", "local"),
            *("--no-memory", "--no-realtime", "--no-monitoring"),
        ],
    )
    terminal.answer("up to and including /v1", "http://127.0.0.1:9/v1")
    terminal.answer("Key of the provider", "later")
    terminal.expect("does not answer")
    terminal.answer("Keep it anyway?", "y")
    terminal.answer("Address to listen on", "")
    code, screen = terminal.finish()

    assert code == 0, screen
    assert loaded(home).settings.inference.remote.url == "http://127.0.0.1:9/v1"


def test_earlier_answers_are_the_suggestions_and_enter_keeps_a_secret(quickstart: Jan, home: Path) -> None:
    quickstart("--yes", "--search", "serper", "--search-api-key", "kept-key", "--memory")
    before = (home / "jan.yaml").read_text(), (home / ".env").read_text()

    terminal = Terminal(home)
    for question in (
        "(builtin)",
        "Model",
        "(serper)",
        "Enter keeps it",
        "conversations? [y/n] (y)",
        "embedding service",
        "(local)",
        "voice sessions? [y/n] (n)",
        "metrics? [y/n] (n)",
        "(127.0.0.1)",
    ):
        terminal.answer(question, "")
    code, screen = terminal.finish()

    assert code == 0, screen
    assert ((home / "jan.yaml").read_text(), (home / ".env").read_text()) == before


@pytest.mark.parametrize("at", ["Number or name", "Model"])
def test_an_interruption_leaves_everything_as_it_was(quickstart: Jan, home: Path, at: str) -> None:
    quickstart("--yes")
    before = {path: path.read_bytes() for path in home.iterdir() if path.is_file()}

    terminal = Terminal(home)
    terminal.expect("Number or name")
    if at == "Model":
        os.write(terminal.descriptor, b"\n")
        terminal.expect("Model")
    os.write(terminal.descriptor, CTRL_C)
    code, screen = terminal.finish(interrupt=True)

    assert code == 130
    assert screen.endswith("\r\nNothing was changed.\r\n")
    assert "Traceback" not in screen
    assert {path: path.read_bytes() for path in home.iterdir() if path.is_file()} == before
