"""`jan users`: an operator keeps users, against the real issuer and the real admin API."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from jan_server.services.llm_api.identity_server import IdentityRefused, IdentityServer
from tests.cli.running_platform import Jan, command_of, configure, running_platform
from tests.services.llm_api.administrators import fresh_name
from tests.services.llm_api.conftest import (
    Person,
    accounts,
    identity,
    issuer_url,
    register,
)

__all__ = ["accounts", "identity", "issuer_url", "register"]


@pytest.fixture(scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    client: aiohttp.ClientSession,
    issuer_url: str,
    register: Callable[..., Awaitable[Person]],
) -> AsyncIterator[Path]:
    home = tmp_path_factory.mktemp("home")
    async with running_platform(home, database_url, client, issuer_url, await register("admin")):
        yield home


@pytest.fixture
def jan(home: Path) -> Jan:
    return command_of(home, "users")


@pytest.fixture
async def email(jan: Jan) -> str:
    """The address of a new user."""
    address = f"{fresh_name('user')}@example.org"
    made = await jan("create", address, "--first-name", "Ada", "--last-name", "Lovelace", "--no-password")
    assert made.exit_code == 0, made.output
    assert made.stdout == ""
    assert f"{address} was made." in made.stderr
    return address


async def test_a_user_is_made_with_roles_groups_and_a_password(jan: Jan, identity: IdentityServer) -> None:
    address = f"{fresh_name('user')}@example.org"
    arguments = ("create", address, "--role", "user", "--group", "pilot_users", "--json")
    made = await jan(*arguments, given="a long pass phrase\n")
    assert made.exit_code == 0, made.output
    user = json.loads(made.stdout)
    assert (user["email"], user["enabled"]) == (address, True)
    assert "user" in user["roles"]
    assert user["groups"] == ["/pilot_users", "/standard"]
    assert user["featureFlags"] == ["experimental_models"]
    assert (await identity.password_grant(address, "a long pass phrase")).access_token


async def test_users_are_listed(jan: Jan, email: str) -> None:
    (user,) = json.loads((await jan("list", "--search", email, "--json")).stdout)
    table = (await jan("list", "--search", email)).stdout.splitlines()
    assert table[0].split() == ["USER", "NAME", "STATE", "ID"]
    assert table[1].split() == [email, "Ada", "Lovelace", "active", user["id"]]
    assert json.loads((await jan("list", "--search", email, "--inactive", "--json")).stdout) == []
    assert (await jan("group", "add", email, "pilot_users")).exit_code == 0
    members = await jan("list", "--group", "pilot_users", "--search", email, "--no-guests", "--json")
    assert json.loads(members.stdout) == [user]
    page = await jan("list", "--max", "1", "--first", "1")
    assert len(page.stdout.splitlines()) == 2
    assert "jan users list --first 2" in page.stderr


async def test_a_user_is_shown_by_address_and_by_id(jan: Jan, email: str) -> None:
    user = json.loads((await jan("show", email.upper(), "--json")).stdout)
    assert json.loads((await jan("show", user["id"], "--json")).stdout) == user
    shown = (await jan("show", email)).stdout
    assert "Ada Lovelace" in shown
    assert "/standard" in shown


async def test_a_change_keeps_what_is_not_given(jan: Jan, email: str) -> None:
    changed = await jan("update", email, "--last-name", "King", "--json")
    user = json.loads(changed.stdout)
    assert (user["firstName"], user["lastName"], user["email"]) == ("Ada", "King", email)
    nothing = await jan("update", email)
    assert (nothing.exit_code, "jan users update --help" in nothing.stderr) == (2, True)


async def test_roles_and_groups_are_given_and_taken(jan: Jan, email: str) -> None:
    for arguments, words in (
        (("role", "add", email, "admin"), "has the role admin."),
        (("group", "add", email, "/pilot_users"), "is in the group pilot_users."),
    ):
        done = await jan(*arguments)
        assert (done.exit_code, f"{email} {words}" in done.stderr) == (0, True), done.output
    user = json.loads((await jan("show", email, "--json")).stdout)
    assert "admin" in user["roles"]
    assert "/pilot_users" in user["groups"]
    await jan("role", "remove", email, "admin")
    user = json.loads((await jan("group", "remove", email, "pilot_users", "--json")).stdout)
    assert "admin" not in user["roles"]
    assert user["groups"] == ["/standard"]


async def test_a_user_is_locked_out_and_let_in(jan: Jan, email: str, identity: IdentityServer) -> None:
    given = await jan("password", email, given="a long pass phrase\n")
    assert given.exit_code == 0, given.output
    assert "pass phrase" not in given.output
    assert (await identity.password_grant(email, "a long pass phrase")).access_token
    assert "is locked out" in (await jan("deactivate", email)).stderr
    with pytest.raises(IdentityRefused):
        await identity.password_grant(email, "a long pass phrase")
    assert json.loads((await jan("activate", email, "--json")).stdout)["enabled"] is True
    assert (await identity.password_grant(email, "a long pass phrase")).access_token


async def test_a_removal_is_asked_for(jan: Jan, email: str) -> None:
    asked = await jan("delete", email)
    assert (asked.exit_code, "Add --yes" in asked.stderr) == (1, True)
    gone = await jan("delete", email, "--yes")
    assert (gone.exit_code, f"{email} was removed." in gone.stderr) == (0, True)
    assert (await jan("show", email)).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words", "remedy"),
    [
        (("show", "nobody"), "There is no user 'nobody'", "jan users list --search"),
        (("show", "6f1c8a52-6f5e-4b1c-9f7e-1f1a0c1f3c55"), "refused (404): User not found", ""),
        (("create", "nobody", "--no-password"), "refused (400): email: must be an e-mail address", ""),
        (("create", "a@example.org"), "No password of a@example.org came in", "standard input"),
        (("create", "a@example.org", "--group", "nowhere"), "There is no group 'nowhere'", "pilot_users"),
    ],
)
async def test_what_cannot_be_done_is_said(
    jan: Jan, arguments: tuple[str, ...], words: str, remedy: str
) -> None:
    result = await jan(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert remedy in result.stderr


async def test_an_unknown_role_after_the_user_was_made_is_said_so(jan: Jan) -> None:
    address = f"{fresh_name('user')}@example.org"
    result = await jan("create", address, "--no-password", "--role", "nobody-has-it")
    assert result.exit_code == 1
    assert f"{address} was made, but: The platform refused (404): Could not find role" in result.stderr


async def test_a_platform_that_does_not_run_is_told_with_its_remedy(
    tmp_path: Path, issuer_url: str, register: Callable[..., Awaitable[Person]]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        configure(tmp_path, issuer_url, closed.getsockname()[1], await register("admin"))
        result = await command_of(tmp_path, "users")("list")
    assert result.exit_code == 1
    assert "The gateway does not answer" in result.stderr
    assert "jan up" in result.stderr


async def test_the_password_is_asked_for_twice_and_never_shown(
    jan: Jan, email: str, identity: IdentityServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    monkeypatch.setattr("jan_cli.secret_input.sys", type("sys", (), {"stdin": Terminal}))
    given = await jan("password", email, given="a long pass phrase\nanother\na phrase\na phrase\n")
    assert given.exit_code == 0, given.output
    assert given.stderr.count("Password of") == 2
    assert "phrase" not in given.output
    assert (await identity.password_grant(email, "a phrase")).access_token
