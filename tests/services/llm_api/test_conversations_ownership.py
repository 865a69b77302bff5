"""What belongs to somebody is, to everybody else, not there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import new_caller

ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "{conversation}", None),
    ("POST", "{conversation}", {"title": "mine now"}),
    ("POST", "{conversation}", {"title": 7}),
    ("DELETE", "{conversation}", None),
    ("GET", "{conversation}/items", None),
    ("POST", "{conversation}/items", {"items": [{"content": "intruding"}]}),
    ("POST", "{conversation}/items", {"items": 7}),
    ("GET", "{conversation}/items/{item}", None),
    ("DELETE", "{conversation}/items/{item}", None),
    ("PATCH", "{conversation}/items/by-call-id/call_1", {"status": "completed"}),
    ("POST", "{conversation}/items/{item}/edit", {"content": "edited"}),
    ("POST", "{conversation}/items/{item}/regenerate", None),
    ("GET", "{conversation}/branches", None),
    ("POST", "{conversation}/branches", {"name": "mine"}),
    ("GET", "{conversation}/branches/side", None),
    ("DELETE", "{conversation}/branches/side", None),
    ("POST", "{conversation}/branches/side/activate", None),
    ("GET", "{project}", None),
    ("PATCH", "{project}", {"name": "mine now"}),
    ("DELETE", "{project}", None),
    ("POST", "/v1/conversations", {"project_id": "{project_id}"}),
]


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_stranger_finds_nothing_and_changes_nothing(llm_api: httpx.AsyncClient, prefix: str) -> None:
    owner, stranger = new_caller(llm_api), new_caller(llm_api)
    project = (await owner.post("/v1/projects", {"name": "thesis"})).json()
    conversation = await owner.conversation(title="Ours", project_id=project["id"])
    [item] = await owner.append(conversation, "hello")
    call = {"type": "mcp_call", "role": "tool", "call_id": "call_1", "status": "in_progress"}
    await owner.post(f"{conversation}/items", {"items": [call]})
    await owner.post(f"{conversation}/branches", {"name": "side"})
    names = {"conversation": conversation, "item": item, "project": f"/v1/projects/{project['id']}"}

    async def everything() -> list[Any]:
        paths = (conversation, f"{conversation}/items", f"{conversation}/branches", names["project"])
        return [(await owner.get(path)).json() for path in paths]

    before = await everything()
    for method, path, body in ROUTES:
        if body == {"project_id": "{project_id}"}:
            body = {"project_id": project["id"]}
        answer = await stranger.send(method, prefix + path.format(**names), json=body)
        assert answer.status_code == 404, (method, path, answer.text)
    assert await everything() == before
    for path in ("/v1/conversations", "/v1/projects"):
        assert (await stranger.get(path)).json()["data"] == []
    assert (await stranger.get("/v1/conversations", project_id=project["id"])).json()["data"] == []


async def test_an_item_is_found_in_its_own_conversation_only(llm_api: httpx.AsyncClient) -> None:
    owner = new_caller(llm_api)
    first, second = await owner.conversation(), await owner.conversation()
    [item] = await owner.append(first, "hello")
    assert (await owner.get(f"{second}/items/{item}")).status_code == 404
    assert (await owner.delete(f"{second}/items/{item}")).status_code == 404
    assert (await owner.get(f"{second}/items", after=item)).status_code == 400
