"""`jan token`: a token and nothing else, from the platform that runs."""

import asyncio
import json
import socket

import jwt
import pytest
from typer.testing import CliRunner

from jan_cli.main import app
from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import create_app
from tests.doubles.keycloak import Keycloak
from tests.services.llm_api.conftest import settings_for
from tests.services.llm_api.platform import listening

PASSWORD = "the pass phrase of the tests"


@pytest.fixture(scope="module")
async def home(tmp_path_factory, database_url, client):
    """The home of a platform that runs: an identity server, and an LLM API in the gateway's place."""
    home = tmp_path_factory.mktemp("home")
    async with Keycloak().running() as realm:
        for name in ("admin", "ada"):
            user = realm.add_user(name)
            user.password = PASSWORD
            user.roles.add("admin" if name == "admin" else "user")
        context = ServiceContext(settings_for(realm.url), home, database_url, client)
        async with listening(create_app(context)) as address:
            configure(home, realm.url, int(address.rpartition(":")[2]))
            yield home


def configure(home, issuer_url, gateway_port):
    (home / "jan.yaml").write_text(
        json.dumps(
            {
                "identity": {"application_admin_password": PASSWORD},
                "infrastructure": {
                    "auth": {"keycloak": {"base_url": issuer_url}},
                    "gateway": {"kong": {"http_port": gateway_port}},
                },
            }
        )
    )


async def jan(home, *arguments, stdin=""):
    run = CliRunner().invoke
    return await asyncio.to_thread(run, app, ["--home", str(home), "token", *arguments], input=stdin)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


async def test_a_guests_token_is_all_that_is_printed(home):
    result = await jan(home)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    assert claims_of(result.stdout.strip())["guest"] == "true"


async def test_the_administrators_token(home):
    result = await jan(home, "--admin")
    assert result.exit_code == 0, result.output
    assert "admin" in claims_of(result.stdout.strip())["realm_access"]["roles"]


async def test_a_users_token_with_the_password_from_standard_input(home):
    result = await jan(home, "--user", "ada", stdin=PASSWORD + "\n")
    assert result.exit_code == 0, result.output
    assert claims_of(result.stdout.strip())["preferred_username"] == "ada"


async def test_json_holds_the_whole_answer(home):
    result = await jan(home, "--json")
    answer = json.loads(result.stdout)
    assert {"access_token", "refresh_token", "expires_in", "user_id"} <= set(answer)


async def test_a_wrong_password_is_told_with_the_servers_words(home):
    result = await jan(home, "--user", "ada", stdin="wrong\n")
    assert result.exit_code == 1 and result.stdout == ""
    assert "Invalid user credentials" in result.stderr and "wrong" not in result.stderr


async def test_no_password_is_told(home):
    result = await jan(home, "--user", "ada")
    assert result.exit_code == 1 and "No password of ada" in result.stderr


async def test_two_identities_exclude_one_another(home):
    result = await jan(home, "--admin", "--user", "ada")
    assert result.exit_code == 2 and "exclude" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--admin"]])
async def test_a_platform_that_does_not_run_is_told_with_its_remedy(tmp_path, arguments):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        configure(tmp_path, f"http://127.0.0.1:{port}", port)
        result = await jan(tmp_path, *arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert f"127.0.0.1:{port}" in result.stderr and "jan up" in result.stderr


async def test_without_a_configuration_the_way_to_one_is_told(tmp_path):
    result = await jan(tmp_path)
    assert result.exit_code == 1 and "jan quickstart" in result.stderr
