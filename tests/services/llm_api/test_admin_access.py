"""No route of administration serves anybody but administrators, whichever noun it belongs to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from tests.services.llm_api.conftest import Person, Start, bearer

PARAMETER = re.compile(r"\{[^}]*\}")


@pytest.fixture
async def unlimited(start: Start, issuer_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An LLM API that counts no requests: there are more routes than one person may call in a minute."""
    yield await start(issuer_url, admin_requests_per_minute=0)


async def admin_routes(llm_api: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Method and path of every route of administration, below both mounts."""
    document = (await llm_api.get("/api/swagger/doc.json")).json()
    routes = [
        (method.upper(), PARAMETER.sub("unknown", path))
        for path, methods in document["paths"].items()
        if path.startswith("/v1/admin/")
        for method in methods
    ]
    assert len(routes) > 30
    return routes + [(method, f"/llm{path}") for method, path in routes]


async def test_guests_users_and_keys_of_users_are_kept_out_of_every_route(
    unlimited: httpx.AsyncClient, register: Callable[..., Awaitable[Person]]
) -> None:
    guest = bearer((await unlimited.post("/auth/guest-login")).json()["access_token"])
    user = await register("user")
    made = await unlimited.post("/auth/api-keys", json={"name": "k"}, headers=user.headers)
    key = bearer(made.json()["key"])
    callers = [({}, 401), (guest, 403), (user.headers, 403), (key, 403)]
    let_in = [
        (method, path, answer.status_code)
        for method, path in await admin_routes(unlimited)
        for headers, status in callers
        if (answer := await unlimited.request(method, path, headers=headers, json={})).status_code != status
    ]
    assert let_in == []


async def test_every_writing_route_leaves_an_entry_in_the_audit_log(
    unlimited: httpx.AsyncClient, register: Callable[..., Awaitable[Person]]
) -> None:
    root = await register("admin")
    writing = [
        (method, path) for method, path in await admin_routes(unlimited) if method not in ("GET", "HEAD")
    ]
    for method, path in writing:
        await unlimited.request(method, path, headers=root.headers, json={})
    query = {"admin_user_id": root.id}
    log = await unlimited.get("/v1/admin/audit-logs", params=query, headers=root.headers)
    assert log.json()["total"] == len(writing)
