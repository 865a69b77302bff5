"""How administrators keep routes of models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from jan_server.services.llm_api.bootstrap import settings_routes
from jan_server.services.llm_api.refusals import Invalid
from tests.services.llm_api.conftest import settings_for
from tests.services.llm_api.platform import Platform
from tests.services.llm_api.routed_models import ROUTES, RoutedModels, model_at, routed_models

ALL = ["error", "timeout", "rate_limit", "context_overflow"]


@pytest.fixture(scope="module")
async def models(serving_platform: Platform) -> AsyncIterator[RoutedModels]:
    async with routed_models(serving_platform, ("north", "south")) as models:
        yield models


@pytest.fixture(scope="module")
def admin(models: RoutedModels) -> httpx.AsyncClient:
    return models.admin


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ROUTES),
        ("POST", ROUTES),
        ("GET", f"{ROUTES}/rte_x"),
        ("PATCH", f"{ROUTES}/rte_x"),
        ("DELETE", f"{ROUTES}/rte_x"),
    ],
)
async def test_only_administrators_come_in(models: RoutedModels, method: str, path: str) -> None:
    async with models.platform.client() as user:
        for prefix in ("", "/llm"):
            assert (await user.request(method, prefix + path, json={})).status_code == 403
        del user.headers["X-Jan-Identity"]
        assert (await user.request(method, path, json={})).status_code == 401


async def test_a_route_is_made_read_changed_and_removed(models: RoutedModels) -> None:
    admin = models.admin
    body = {
        "name": "team/assistant",
        "description": "ours first",
        "targets": [
            {"model": model_at("north"), "weight": 3},
            {"model": model_at("south"), "provider_id": models.providers["south"], "priority": 1},
        ],
    }
    made = await admin.post(ROUTES, json=body)
    assert made.status_code == 201, made.text
    route = made.json()
    assert route["id"].startswith("rte_")
    assert route["targets"] == [
        {"model": model_at("north"), "provider_id": None, "weight": 3, "priority": 0},
        {"model": model_at("south"), "provider_id": models.providers["south"], "weight": 1, "priority": 1},
    ]
    assert (route["name"], route["description"]) == ("team/assistant", "ours first")
    assert (route["fallback_on"], route["active"], route["source"]) == (ALL, True, "api")
    path = f"{ROUTES}/{route['id']}"
    assert (await admin.get(path)).json() == route
    assert (await admin.get(f"/llm{path}")).json() == route
    page = (await admin.get(ROUTES, params={"search": "TEAM", "limit": 1})).json()
    assert page == {"data": [route], "total": 1, "limit": 1}

    changed = await admin.patch(path, json={"fallback_on": ["timeout", "timeout"], "active": False})
    assert changed.status_code == 200, changed.text
    assert {**route, "fallback_on": ["timeout"], "active": False} | {
        "updated_at": changed.json()["updated_at"]
    } == changed.json()
    assert (await admin.get(ROUTES, params={"active": "true", "search": "team"})).json()["total"] == 0
    log = (await admin.get("/v1/admin/audit-logs", params={"limit": 1})).json()["data"][0]
    assert (log["resource_id"], log["status_code"]) == (route["id"], 200)

    async with models.platform.client() as user:
        chat = {"model": "team/assistant", "messages": [{"role": "user", "content": "Hello"}]}
        assert (await user.post("/v1/chat/completions", json=chat)).status_code == 404
        await admin.patch(path, json={"active": True})
        assert (await user.post("/v1/chat/completions", json=chat)).status_code == 200
        assert (await admin.delete(path)).status_code == 204
        assert (await user.post("/v1/chat/completions", json=chat)).status_code == 404
    assert (await admin.get(path)).status_code == 404
    assert (await admin.delete(path)).status_code == 404
    again = await admin.post(ROUTES, json=body)
    assert again.status_code == 201
    await admin.delete(f"{ROUTES}/{again.json()['id']}")


NORTH = {"model": model_at("north")}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": None}, "name"),
        ({"name": "  "}, "name"),
        ({"targets": []}, "targets"),
        ({"targets": [{"model": "nobody/offers-this"}]}, "targets[0].model"),
        ({"targets": [NORTH, {**NORTH, "provider_id": "prov_nobody"}]}, "targets[1].provider_id"),
        ({"targets": [{**NORTH, "weight": -1}]}, "targets.0.weight"),
        ({"targets": [{**NORTH, "weight": 1.5}]}, "targets.0.weight"),
        ({"targets": [{**NORTH, "weight": "2"}]}, "targets.0.weight"),
        ({"targets": [{**NORTH, "priority": -1}]}, "targets.0.priority"),
        ({"targets": [NORTH, NORTH]}, "targets[1]"),
        ({"fallback_on": ["whim"]}, "fallback_on.0"),
    ],
)
async def test_what_is_wrong_is_named(admin: httpx.AsyncClient, changes: dict[str, Any], param: str) -> None:
    answer = await admin.post(ROUTES, json={"name": "wrong", "targets": [NORTH], **changes})
    assert answer.status_code == 400, answer.text
    named = answer.json()["error"]["param"]
    assert named.replace("[", ".").replace("]", "") == param.replace("[", ".").replace("]", "")


async def test_a_target_of_another_provider_is_unknown(models: RoutedModels) -> None:
    target = {"model": model_at("north"), "provider_id": models.providers["south"]}
    answer = await models.admin.post(ROUTES, json={"name": "wrong", "targets": [target]})
    assert (answer.status_code, answer.json()["code"]) == (400, "model_not_found")


async def test_a_route_leads_to_models_only_and_its_name_is_its_own(models: RoutedModels) -> None:
    first = await models.route("north")
    for name in ("second", first):
        answer = await models.admin.post(ROUTES, json={"name": name, "targets": [{"model": first}]})
        assert (answer.status_code, answer.json()["code"]) == (400, "target_is_route")
        assert "a route leads to models only" in answer.json()["message"]
    taken = await models.admin.post(ROUTES, json={"name": first, "targets": [NORTH]})
    assert (taken.status_code, taken.json()["error"]["param"]) == (409, "name")
    second = await models.admin.post(ROUTES, json={"name": "second", "targets": [NORTH]})
    path = f"{ROUTES}/{second.json()['id']}"
    assert (await models.admin.patch(path, json={"name": first})).status_code == 409
    assert (await models.admin.patch(path, json={"targets": [{"model": "second"}]})).status_code == 400
    assert (await models.admin.patch(path, json={"targets": []})).status_code == 400
    assert (await models.admin.get(path)).json()["name"] == "second"
    assert (await models.admin.patch(f"{ROUTES}/rte_nobody", json={})).status_code == 404


@pytest.mark.parametrize(
    ("routes", "place"),
    [
        ([{"name": "a", "targets": [NORTH]}, {"name": "a", "targets": [NORTH]}], "[1]"),
        ([{"name": "a", "targets": [NORTH, NORTH]}], "[0].targets[1]"),
    ],
    ids=["name", "target"],
)
def test_the_settings_may_not_say_anything_twice(routes: list[dict[str, Any]], place: str) -> None:
    with pytest.raises(Invalid) as refused:
        settings_routes(settings_for("http://127.0.0.1:9", model_routes=routes))
    assert refused.value.param == f"services.llm_api.model_routes{place}"


def test_a_variable_describes_routes_in_json() -> None:
    text = '[{"name": "a", "targets": [{"model": "b", "weight": 2}], "fallback_on": ["timeout"]}]'
    [spec] = settings_routes(settings_for("http://127.0.0.1:9", model_routes=text))
    assert (spec.name, spec.fallback_on, spec.active) == ("a", ("timeout",), True)
    assert spec.targets == ({"model": "b", "provider_id": None, "weight": 2, "priority": 0},)
