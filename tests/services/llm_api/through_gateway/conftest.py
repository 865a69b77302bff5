"""Visitors of one whole stack, and what keeps `route` marks true: a test has to ask those routes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Generator
from typing import Any

import aiohttp
import psycopg
import pytest

from tests.conftest import database_named
from tests.doubles.openai_upstream import Json
from tests.services.llm_api.through_gateway.stack import (
    ADMIN_PASSWORD,
    PASSWORD,
    Visitor,
    WholeStack,
    fresh_name,
    matching,
    whole_stack,
)

PICTURE = "iVBORw0KGgpjb250ZW50"


@pytest.fixture(scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_url: str,
    migrated_template: str,
    client: aiohttp.ClientSession,
) -> AsyncIterator[WholeStack]:
    """A running stack with a database of its own, for all tests of this folder."""
    name = f"stack_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{migrated_template}"')
    url = database_named(postgres_url, name)
    async with whole_stack(tmp_path_factory.mktemp("stack"), url, client) as running:
        yield running
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
async def admin_token(stack: WholeStack) -> str:
    return await stack.visitor.log_in("admin", ADMIN_PASSWORD)


@pytest.fixture(scope="session")
async def user_token(stack: WholeStack, admin_token: str) -> str:
    """The token of a registered user whom the administrator made."""
    email = f"{fresh_name('ann')}@example.org"
    members = {"email": email, "password": PASSWORD, "first_name": "Ann", "last_name": "Lee"}
    await stack.visitor.with_token(admin_token).post("/v1/admin/users", members, status=201)
    return await stack.visitor.log_in(email)


@pytest.fixture(scope="session")
async def user_key(stack: WholeStack, user_token: str) -> str:
    return await stack.visitor.with_token(user_token).key()


@pytest.fixture(params=["", "/llm"], ids=["root", "llm"])
def visitor(request: pytest.FixtureRequest, stack: WholeStack) -> Visitor:
    """Somebody without a credential; what uses it asks every route as it is and below `/llm`."""
    return Visitor(stack.visitor.client, stack.visitor.asked, request.param)


@pytest.fixture
def ann(visitor: Visitor, user_token: str) -> Visitor:
    """A registered user."""
    return visitor.with_token(user_token)


@pytest.fixture
def root(visitor: Visitor, admin_token: str) -> Visitor:
    """An administrator."""
    return visitor.with_token(admin_token)


@pytest.fixture(autouse=True)
def fresh_start(stack: WholeStack) -> None:
    """Each test begins with providers that answer, and with nothing asked."""
    stack.visitor.asked.clear()
    stack.upstream.reset()
    stack.painter.reset()
    stack.painter.always(Json({"created": 1_760_000_000, "data": [{"b64_json": PICTURE}]}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that is marked with a route which it does not ask, or which never answers it well."""
    stack = getattr(item, "funcargs", {}).get("stack")
    result = yield
    marked = [route for mark in item.iter_markers("route") for route in mark.args]
    if stack is not None:
        missed = [route for route in marked if not any(answers(route, one) for one in stack.visitor.asked)]
        assert not missed, f"marked with routes that it does not ask with success: {missed}"
    return result


def answers(route: str, asked: Any) -> bool:
    """Whether a request is one to `route` that went well; what is not implemented says so with 501."""
    method, _, path = route.partition(" ")
    well = asked.status < 400 or asked.status == 501
    return well and asked.method == method and matching(path, asked.path)
