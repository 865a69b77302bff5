"""What belongs to somebody is, to everybody else, not there: a walk over the route table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.services.llm_api.through_gateway.routes import real_routes
from tests.services.llm_api.through_gateway.stack import MODEL, Visitor, WholeStack

HELLO = {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
CALL = {"type": "mcp_call", "role": "tool", "call_id": "call_1", "status": "in_progress"}

CONVERSATION = "/v1/conversations/{conversation_id}"

OWNED: dict[str, list[Any]] = {
    f"GET {CONVERSATION}": [None],
    f"POST {CONVERSATION}": [{"title": "mine now"}, {"title": 7}],
    f"DELETE {CONVERSATION}": [None],
    f"GET {CONVERSATION}/items": [None],
    f"POST {CONVERSATION}/items": [{"items": [HELLO]}, {"items": 7}],
    f"GET {CONVERSATION}/items/{{item_id}}": [None],
    f"DELETE {CONVERSATION}/items/{{item_id}}": [None],
    f"PATCH {CONVERSATION}/items/by-call-id/{{call_id}}": [{"status": "completed"}],
    f"POST {CONVERSATION}/items/{{item_id}}/edit": [{"content": "edited"}],
    f"POST {CONVERSATION}/items/{{item_id}}/regenerate": [None, {"generate": True}],
    f"GET {CONVERSATION}/branches": [None],
    f"POST {CONVERSATION}/branches": [{"name": "mine"}],
    f"GET {CONVERSATION}/branches/{{name}}": [None],
    f"DELETE {CONVERSATION}/branches/{{name}}": [None],
    f"POST {CONVERSATION}/branches/{{name}}/activate": [None],
    f"POST {CONVERSATION}/share": [{"scope": "conversation"}],
    f"GET {CONVERSATION}/shares": [None],
    f"DELETE {CONVERSATION}/shares/{{share_id}}": [None],
    "DELETE /v1/shares/{share_id}": [None],
    "GET /v1/projects/{project_id}": [None],
    "PATCH /v1/projects/{project_id}": [{"name": "mine now"}],
    "DELETE /v1/projects/{project_id}": [None],
    "GET /v1/usage/projects/{project_id}": [None],
    "PATCH /auth/api-keys/{key_id}": [{"name": "mine now"}],
    "DELETE /auth/api-keys/{key_id}": [None],
}
"""Every route with the id of something that has an owner, with the bodies that a stranger tries."""

FOR_TOKENS_ALONE = {"PATCH /auth/api-keys/{key_id}", "DELETE /auth/api-keys/{key_id}"}
"""What no API key may do, whosever it is: 403 (docs/api/llm-api.md, API keys)."""

FOR_EVERYBODY = {
    "GET /api/swagger/assets/{path}",
    "GET /v1/models/{model_id}",
    "GET /v1/models/catalogs/{model_id}",
    "GET /v1/prompt-templates/{template_key}",
    "GET /v1/mcp-tools/{tool_key}",
    "GET /v1/public/shares/{slug}",
    "HEAD /v1/public/shares/{slug}",
}
"""Routes with an id of what nobody owns, or of what its owner shows to everybody."""


def ids_in_bodies(own: dict[str, str], ids: dict[str, str]) -> list[tuple[str, Any]]:
    """Requests of a stranger who names what belongs to another in a body, beside things of its own."""
    mine = f"POST /v1/conversations/{own['conversation_id']}"
    conversation, project, item = ids["conversation_id"], ids["project_id"], ids["item_id"]
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    drawing = {"prompt": "A fox", "conversation_id": conversation, "store": True}
    return [
        ("POST /v1/chat/completions", {**chat, "conversation": conversation}),
        ("POST /v1/chat/completions", {**chat, "conversation": {"id": conversation}}),
        ("POST /v1/chat/completions", {**chat, "stream": True, "conversation": conversation}),
        ("POST /v1/images/generations", drawing),
        ("POST /v1/images/edits", {**drawing, "image": {"b64_json": "iVBORw0KGgo="}}),
        ("POST /v1/conversations", {"project_id": project}),
        (mine, {"project_id": project}),
        (f"{mine}/branches", {"name": "theirs", "fork_from_item_id": item}),
        (f"{mine}/share", {"scope": "item", "item_id": item}),
    ]


@dataclass(frozen=True)
class Belongings:
    """What one user has.

    Attributes:
        ids: An id for each name of a parameter in `OWNED`.
        see: Reads all of it anew.
    """

    ids: dict[str, str]
    see: Callable[[], Awaitable[list[Any]]]


async def belongings(owner: Visitor) -> Belongings:
    """Make something of everything that users own."""
    project = await owner.post("/v1/projects", {"name": "thesis"}, status=201)
    wish = {"title": "Ours", "project_id": project["id"], "items": [HELLO, ANSWER, CALL]}
    conversation = await owner.post("/v1/conversations", wish)
    path = f"/v1/conversations/{conversation['id']}"
    item = (await owner.get(f"{path}/items", order="asc"))["data"][0]
    await owner.post(f"{path}/branches", {"name": "side"}, status=201)
    share = await owner.post(f"{path}/share", {"scope": "conversation"}, status=201)
    await owner.key()
    key = (await owner.get("/auth/api-keys"))["items"][0]
    places = [path, f"{path}/items", f"{path}/branches", f"{path}/shares", f"/v1/projects/{project['id']}"]

    async def see() -> list[Any]:
        keys = (await owner.get("/auth/api-keys"))["items"]
        # Using a key is no change of it.
        names = [(one["id"], one["name"], one["status"]) for one in keys]
        return [names, *[await owner.get(place) for place in [*places, "/v1/shares"]]]

    ids = {
        "conversation_id": conversation["id"],
        "item_id": item["id"],
        "call_id": "call_1",
        "name": "side",
        "share_id": share["id"],
        "project_id": project["id"],
        "key_id": key["id"],
    }
    return Belongings(ids, see)


def test_no_route_with_an_id_is_forgotten(stack: WholeStack) -> None:
    with_id = {route for route in real_routes(stack.llm_api) if "{" in route and " /v1/admin/" not in route}
    assert with_id == OWNED.keys() | FOR_EVERYBODY


@pytest.mark.parametrize("credential", ["token", "key"])
async def test_a_stranger_finds_nothing_and_changes_nothing(visitor: Visitor, credential: str) -> None:
    owner, guest = await visitor.guest(), await visitor.guest()
    theirs = await belongings(owner)
    own = await belongings(guest)
    stranger = guest if credential == "token" else visitor.with_key(await guest.key())
    bound = {"name": "bound", "project_id": theirs.ids["project_id"]}
    await guest.post("/auth/api-keys", bound, status=404)
    before, mine = await theirs.see(), await own.see()
    for route, bodies in OWNED.items():
        method, _, path = route.partition(" ")
        status = 403 if credential == "key" and route in FOR_TOKENS_ALONE else 404
        for body in bodies:
            await stranger.send(method, path.format(**theirs.ids), status=status, json=body)
    for route, body in ids_in_bodies(own.ids, theirs.ids):
        method, _, path = route.partition(" ")
        await stranger.send(method, path, status=404, json=body)
    # A conversation of the stranger's own in the path opens nobody else's items, branches or shares.
    mixed = {**theirs.ids, "conversation_id": own.ids["conversation_id"]}
    for method, path in (
        ("GET", f"{CONVERSATION}/items/{{item_id}}"),
        ("DELETE", f"{CONVERSATION}/items/{{item_id}}"),
        ("DELETE", f"{CONVERSATION}/shares/{{share_id}}"),
    ):
        await stranger.send(method, path.format(**mixed), status=404)
    page = CONVERSATION.format(**mixed)
    await stranger.get(f"{page}/items", status=400, after=theirs.ids["item_id"])
    assert await theirs.see() == before
    assert await own.see() == mine
    for path in ("/v1/conversations", "/v1/projects", "/v1/shares"):
        assert {one["id"] for one in (await stranger.get(path))["data"]}.isdisjoint(theirs.ids.values())
    assert (await stranger.get("/v1/conversations", project_id=theirs.ids["project_id"]))["data"] == []
