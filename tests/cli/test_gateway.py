"""`jan gateway`: what it says of the file that ships, and of files that cannot be executed."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from jan_cli.main import app


def jan(home: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--home", str(home), "gateway", *arguments])
    return result.exit_code, result.output


def test_routes_are_listed_with_who_may_take_them(tmp_path: Path) -> None:
    code, output = jan(tmp_path, "routes", "--json")
    lines = {line["name"]: line for line in json.loads(output)}
    assert code == 0
    assert lines["llm-api-v1"]["credentials"] == "token or key"
    assert lines["llm-api-v1"]["limit"] == "120/minute by ip"
    assert lines["llm-api-v1"]["upstream"] == ["http://127.0.0.1:8080"]
    assert lines["llm-auth-public"]["credentials"] == ""
    names = list(lines)
    assert names.index("realtime-api-proxy") < names.index("llm-api-v1")

    code, output = jan(tmp_path, "routes")
    assert code == 0
    assert "identity-auth-realm" in output


def test_a_file_is_checked(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text('_format_version: "3.0"\nservices: [{name: a, host: h, routes: [{paths: [/a]}]}]\n')
    bad.write_text('_format_version: "3.0"\nplugins: [{name: cors, config: {origin: ["*"]}}]\n')

    assert jan(tmp_path, "check", str(good))[0] == 0
    code, output = jan(tmp_path, "check", str(bad))
    assert code == 1
    assert "plugins[0].config.origin: unknown field; did you mean 'origins'?" in output
    code, output = jan(tmp_path, "check", str(bad), "--json")
    assert (code, json.loads(output)["place"]) == (1, "plugins[0].config.origin")
    assert jan(tmp_path, "check", str(tmp_path / "none.yml"))[0] == 1
    bad.write_text("a: [b\n  c: {")
    code, output = jan(tmp_path, "check", str(bad))
    assert (code, "not YAML: while parsing a flow sequence in" in output) == (1, True)


def test_the_file_that_runs_is_shown_and_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "jan.yaml").write_text(
        json.dumps({"infrastructure": {"gateway": {"redis_url": "redis://:hush@127.0.0.1:6379/0"}}})
    )
    code, output = jan(tmp_path, "show")
    assert code == 0
    assert "hush" not in output
    assert yaml.safe_load(output)["_format_version"] == "3.0"
    assert "hush" in jan(tmp_path, "show", "--reveal")[1]

    shown = tmp_path / "kong.yml"
    shown.write_text(output)
    assert jan(tmp_path, "check", str(shown))[0] == 0
