"""`jan models` and `jan engine`: what an operator sees of the models on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jan_cli.main import app
from tests.builtin_model import give_builtin_model
from tests.inference.gguf_files import write_gguf

Jan = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def jan(home: Path, monkeypatch: pytest.MonkeyPatch) -> Jan:
    monkeypatch.delenv("JAN_LLAMACPP_MODEL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["--home", str(home), *arguments])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


def test_the_built_in_model_is_listed_before_it_is_here(jan: Jan) -> None:
    (row,) = json.loads(jan("models", "list", "--local", "--json").stdout)
    assert (row["name"], row["present"], row["used"]) == ("smollm2-135m-instruct", False, True)
    assert row["id"] == "jan/smollm2-135m-instruct"
    result = jan("models", "list", "--local")
    assert "not here, in use" in result.stdout
    assert "jan models pull" in result.output


def test_the_built_in_model_is_listed_with_what_its_file_says(jan: Jan, home: Path) -> None:
    give_builtin_model(home)
    (row,) = json.loads(jan("models", "list", "--local", "--json").stdout)
    assert row["present"]
    assert (row["architecture"], row["quantisation"], row["context_length"]) == ("llama", "Q4_1", 8192)
    assert (row["licence"], row["size"]) == ("Apache-2.0", 98_362_432)
    assert "was here already" in jan("models", "pull").stdout


def test_a_file_is_pulled_listed_and_removed(jan: Jan, tiny: Path, home: Path) -> None:
    pulled = jan("models", "pull", str(tiny), "--name", "mine", "--json")
    assert json.loads(pulled.stdout)["path"] == str(home / "models" / "tiny.gguf")
    assert "llama Q4_K_M" in jan("models", "list", "--local").stdout
    refused = jan("models", "remove", "mine")
    assert refused.exit_code == 1
    assert "Add --yes" in refused.output
    assert jan("models", "remove", "mine", "--yes").exit_code == 0
    assert not (home / "models" / "tiny.gguf").exists()


def test_pull_says_how_the_engine_comes_to_use_it(jan: Jan, tiny: Path) -> None:
    assert "jan config set inference.llamacpp.model tiny" in jan("models", "pull", str(tiny)).output


@pytest.mark.parametrize(
    ("arguments", "words", "remedy"),
    [
        (("models", "pull", "nonsense"), "no model 'nonsense' to fetch", "Use smollm2-135m-instruct"),
        (("models", "pull", "/none/model.gguf"), "No such file", "Choose another file"),
        (("models", "remove", "none", "--yes"), "no model 'none' here", "jan models list"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_remedy(
    jan: Jan, arguments: tuple[str, ...], words: str, remedy: str
) -> None:
    result = jan(*arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert remedy in result.output
    assert "Traceback" not in result.output


def test_offline_pull_of_the_built_in_model_is_an_error_with_a_remedy(
    jan: Jan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    result = jan("models", "pull")
    assert result.exit_code == 1
    assert "could not be fetched: pip says: " in result.output
    assert "jan models pull /path/to/model.gguf" in result.output


def test_a_damaged_model_is_marked(jan: Jan, home: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "half.gguf").write_bytes(b"GG")
    assert "damaged" in jan("models", "list", "--local").stdout


def test_an_engine_that_does_not_run_is_said_so(jan: Jan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAN_LLAMACPP_PORT", "9")
    result = jan("engine", "status")
    assert result.exit_code == 1
    assert "nothing listens there" in result.output
    status = jan("engine", "status", "--json")
    assert status.exit_code == 1
    assert json.loads(status.stdout)["ready"] is False


def test_an_engine_without_its_model_says_what_is_missing(jan: Jan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAN_LLAMACPP_MODEL", "other")
    result = jan("engine", "run")
    assert result.exit_code == 1
    assert "There is no model 'other' here" in result.output
