"""`jan identity` beside an embedded issuer that runs: its accounts and its key, in its own database."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner, Result

from jan_cli.main import app
from jan_server.identity import key_rotation
from tests.identity.server import IdentityServer, http, served, settings_for_tests
from tests.waiting import wait_until

Jan = Callable[..., Result]


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityServer]:
    with served(settings_for_tests(), database_url, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "jan.yaml").write_text("identity:\n  mode: embedded\n")
    return tmp_path


@pytest.fixture
def jan(home: Path, database_url: str) -> Jan:
    """Runs `jan identity …` in a home whose database is the issuer's."""

    def run(*arguments: str, **environment: str) -> Result:
        line = ["--home", str(home), "identity", *arguments]
        return CliRunner().invoke(app, line, env={"DATABASE_URL": database_url, **environment})

    return run


def test_accounts_are_written_for_their_owner_alone_and_read_again(
    jan: Jan, server: IdentityServer, home: Path
):
    user = server.new_user()
    file = home / "accounts.json"
    done = jan("users", "export", str(file))
    assert done.exit_code == 0, done.output
    assert "It holds hashed passwords" in done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    server.master_admin().delete_user(user.id)

    would = jan("users", "import", str(file), "--dry-run")
    assert "embedded: 1 user would be added, 0 overwritten, 1 skipped" in would.output
    done = jan("users", "import", str(file), "--json")
    assert json.loads(done.stdout)["added"] == 1
    assert server.claims(server.log_in(user)["access_token"])["sub"] == user.id

    refused = jan("users", "import", str(file), "--on-conflict", "fail")
    assert refused.exit_code == 1
    assert "users are in conflict" in refused.output
    assert "Nothing was changed" in refused.output


def test_without_a_name_the_file_is_among_the_backups(jan: Jan, server: IdentityServer, home: Path):
    assert jan("users", "export", "--no-guests").exit_code == 0
    assert len(list((home / "backups").glob("users-*.json"))) == 1


def test_what_cannot_be_read_is_told(jan: Jan, home: Path):
    missing = jan("users", "import", str(home / "nothing.json"))
    assert "nothing.json cannot be read: No such file" in " ".join(missing.output.split())
    (home / "wrong.json").write_text("[]")
    assert "no users file of one realm" in " ".join(
        jan("users", "import", str(home / "wrong.json")).output.split()
    )
    assert (
        "--database-url is for Keycloak" in jan("users", "export", "--database-url", "postgresql:///x").output
    )


def test_the_key_is_replaced_while_the_issuer_runs(
    jan: Jan, server: IdentityServer, home: Path, monkeypatch: pytest.MonkeyPatch
):
    # One process looks for changes; nobody else verifies here.
    monkeypatch.setattr(key_rotation, "SETTLE_SECONDS", 0.1)
    user = server.new_user()
    old = server.log_in(user)["access_token"]

    done = jan("rotate-keys", "--json")

    assert done.exit_code == 0, done.output
    kid = json.loads(done.stdout)["kid"]
    wait_until(lambda: jwt.get_unverified_header(server.log_in(user)["access_token"])["kid"] == kid)
    answer = http.get(f"{server.protocol}/userinfo", headers={"Authorization": f"Bearer {old}"})
    assert answer.status_code == 200
    assert "JAN_REALM_SIGNING_KEY=" in (home / ".env").read_text()
    kept = jan("rotate-keys", "--drop-old")
    assert "kept" in kept.output
    assert "removed" not in kept.output


def test_a_key_of_the_environment_stays(jan: Jan, server: IdentityServer, home: Path):
    published = http.get(f"{server.protocol}/certs").json()
    key = server.settings.identity.signing_key.get_secret_value()
    done = jan("rotate-keys", JAN_REALM_SIGNING_KEY=key)
    assert done.exit_code == 1
    assert "comes from the environment" in done.output
    assert http.get(f"{server.protocol}/certs").json() == published
    assert not (home / ".env").exists()
