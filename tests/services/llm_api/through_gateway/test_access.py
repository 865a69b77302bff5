"""Who is let in at the gateway: each route of the route table, without a credential and without the right."""

from __future__ import annotations

import asyncio
import re

from tests.services.llm_api.conftest import bearer
from tests.services.llm_api.through_gateway.routes import OPERATORS, PUBLIC, real_routes
from tests.services.llm_api.through_gateway.stack import Visitor, WholeStack

AT_ONCE = 4
_PARAMETER = re.compile(r"\{[^}]*\}")


async def statuses(
    stack: WholeStack, routes: set[str], headers: dict[str, str], prefix: str
) -> dict[str, tuple[int, str]]:
    """What each route says to a caller: status and message."""
    places = asyncio.Semaphore(AT_ONCE)

    async def ask(route: str) -> tuple[str, tuple[int, str]]:
        method, _, path = route.partition(" ")
        async with places:
            answer = await stack.visitor.client.request(
                method, prefix + _PARAMETER.sub("unknown", path), headers=headers, json={}
            )
        said = answer.json().get("message", "") if answer.content else ""
        return route, (answer.status_code, said)

    return dict(await asyncio.gather(*(ask(route) for route in routes)))


async def test_without_a_credential_only_public_routes_are_open(stack: WholeStack, visitor: Visitor) -> None:
    routes = real_routes(stack.llm_api)
    assert routes >= PUBLIC | OPERATORS
    asked = await statuses(stack, routes - PUBLIC - OPERATORS, {}, visitor.mount)
    assert {route: status for route, (status, _) in asked.items() if status != 401} == {}
    made_up = await statuses(stack, routes - PUBLIC - OPERATORS, bearer("made up"), visitor.mount)
    assert {route: status for route, (status, _) in made_up.items() if status != 401} == {}


async def test_only_administrators_administer(
    stack: WholeStack, visitor: Visitor, ann: Visitor, user_key: str
) -> None:
    routes = {route for route in real_routes(stack.llm_api) if " /v1/admin/" in route}
    assert len(routes) > 60
    callers = {
        "a guest": await visitor.guest(),
        "a user": ann,
        "a user's key": visitor.with_key(user_key),
    }
    for name, caller in callers.items():
        asked = await statuses(stack, routes, caller.headers, visitor.mount)
        let_in = {
            route: answer
            for route, answer in asked.items()
            if answer != (403, "" if route.startswith("HEAD ") else "Admin access required")
        }
        assert let_in == {}, f"{name} is let in"


async def test_the_key_of_an_administrator_administers(root: Visitor) -> None:
    key = await root.key()
    assert (await root.with_key(key).get("/v1/admin/users", max=1))["data"]
    [listed] = [one for one in (await root.get("/auth/api-keys"))["items"] if one["suffix"] == key[-4:]]
    await root.delete(f"/auth/api-keys/{listed['id']}", status=204)


async def test_every_write_of_administration_is_on_record(stack: WholeStack, root: Visitor) -> None:
    subject = (await root.get("/auth/me"))["subject"]

    async def entries() -> int:
        return int((await root.get("/v1/admin/audit-logs", limit=1, admin_user_id=subject))["total"])

    before = await entries()
    writing = {
        route
        for route in real_routes(stack.llm_api)
        if " /v1/admin/" in route and not route.startswith(("GET ", "HEAD "))
    }
    await statuses(stack, writing, root.headers, root.mount)
    assert await entries() == before + len(writing)
