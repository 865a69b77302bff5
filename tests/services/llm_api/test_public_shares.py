"""Public links: what anybody who has one sees, and what nobody sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import create_app
from jan_server.settings.tree import Settings
from tests.services.llm_api.callers import Caller, new_caller
from tests.services.llm_api.conftest import Start, eventually, running, settings_for
from tests.services.llm_api.platform import listening
from tests.services.llm_api.sharing import answer_of, share, talk

LISTED = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Lisbon"}'},
}


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


@pytest.fixture
def another(issuer_url: str, context: Callable[[Settings], ServiceContext]) -> ServiceContext:
    """The surroundings of a second LLM API on the same database."""
    return context(settings_for(issuer_url))


async def snapshot(owner: Caller, shared: dict[str, Any]) -> dict[str, Any]:
    """What the public sees."""
    answer = await owner.llm_api.get(f"/v1/public/shares/{shared['slug']}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()["snapshot"]
    return shown


async def blocks_shown(owner: Caller, *blocks: dict[str, Any], **wish: Any) -> list[dict[str, Any]]:
    """What the public sees of an answer with these blocks."""
    conversation = await owner.conversation()
    await owner.append(conversation, "question")
    await owner.append(conversation, "the answer that is always there", role="assistant")
    item = {"role": "assistant", "content": list(blocks)}
    made = await owner.post(f"{conversation}/items", {"items": [item]})
    assert made.status_code == 200, made.text
    items = (await snapshot(owner, await share(owner, conversation, **wish)))["items"]
    return list(items[2]["content"]) if len(items) == 3 else []


async def test_what_the_public_sees(owner: Caller) -> None:
    conversation = await talk(
        owner, title="Trip plan", metadata={"model": "jan-v2-30b", "assistant": "Jan", "secret": "kept"}
    )
    items = await owner.items(conversation)
    made = await share(owner, conversation)
    answer = await owner.llm_api.get(f"/v1/public/shares/{made['slug']}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Content-Type"] == "application/json"
    shown = answer.json()
    for item in shown["snapshot"]["items"]:
        assert isinstance(item.pop("created_at"), int)
    assert shown == {
        "object": "public_share",
        "slug": made["slug"],
        "title": "Trip plan",
        "created_at": made["created_at"],
        "snapshot": {
            "title": "Trip plan",
            "model_name": "jan-v2-30b",
            "assistant_name": "Jan",
            "created_at": made["created_at"],
            "items": [
                {
                    "id": items[0]["id"],
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "text", "text": "Where shall we go?"}],
                },
                {
                    "id": items[1]["id"],
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "text", "text": "To Lisbon."}],
                },
            ],
        },
    }


async def test_a_snapshot_never_changes(owner: Caller) -> None:
    conversation = await talk(owner, title="Trip plan")
    made = await share(owner, conversation)
    before = await snapshot(owner, made)
    await owner.append(conversation, "And then?")
    await owner.post(conversation, {"title": "Secret plan"})
    question = (await owner.ids(conversation))[0]
    await owner.post(f"{conversation}/items/{question}/edit", {"content": "Never mind"})
    assert await snapshot(owner, made) == before


async def test_a_credential_changes_nothing(owner: Caller) -> None:
    made = await share(owner, await talk(owner))
    path = f"/v1/public/shares/{made['slug']}"
    plain = await owner.llm_api.get(path)
    for answer in (
        await owner.get(path),
        await new_caller(owner.llm_api).get(path),
        await owner.llm_api.get(path, headers={"Authorization": "Bearer nonsense"}),
    ):
        assert (answer.status_code, answer.json()) == (200, plain.json())
        assert not [name for name in answer.headers if name.startswith(("x-user", "x-principal"))]


async def test_instructions_and_tool_calls_in_progress_stay_private(owner: Caller) -> None:
    conversation = await owner.conversation()
    for role in ("system", "developer", "critic", "unknown", "user", "assistant"):
        await owner.append(conversation, role, role=role)
    tools = [
        {"type": "mcp_call", "role": "tool", "call_id": "call_1", "content": "inner"},
        {
            "role": "tool",
            "call_id": "call_2",
            "content": [{"type": "tool_result", "text": "21 degrees", "tool_call_id": "call_2"}],
        },
    ]
    assert (await owner.post(f"{conversation}/items", {"items": tools})).status_code == 200
    items = (await snapshot(owner, await share(owner, conversation)))["items"]
    assert [item["role"] for item in items] == ["user", "assistant", "tool"]
    tool = items[2]
    assert tool["call_id"] == "call_2"
    assert tool["content"] == [{"type": "tool_result", "tool_result": "21 degrees", "tool_call_id": "call_2"}]
    assert "call_id" not in items[0]


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ({"type": "text", "text": "a", "finish_reason": "stop"}, {"type": "text", "text": "a"}),
        ({"type": "input_text", "text": "a"}, {"type": "input_text", "input_text": "a"}),
        ({"type": "reasoning_text", "text": "hm"}, {"type": "reasoning_text", "text": "hm"}),
        (
            {"type": "tool_calls", "tool_calls": [{**LISTED, "internal": "x"}]},
            {"type": "tool_calls", "tool_calls": [LISTED]},
        ),
        (
            {"type": "file", "file_id": "f1", "filename": "a.pdf", "mime_type": "application/pdf", "size": 9},
            {
                "type": "file",
                "file_ref": {"file_id": "f1", "mime_type": "application/pdf", "name": "a.pdf"},
            },
        ),
        (
            {
                "type": "output_text",
                "text": "a",
                "annotations": [
                    {"type": "url_citation", "url": "https://example.org", "title": "E", "private": "x"},
                    {"type": "file_citation", "file_id": "f1"},
                    {"type": "quote", "text": "q"},
                ],
            },
            {
                "type": "output_text",
                "output_text": {
                    "text": "a",
                    "annotations": [
                        {"type": "url_citation", "url": "https://example.org", "title": "E"},
                        {"type": "file_citation", "file_id": "f1"},
                    ],
                },
            },
        ),
    ],
)
async def test_what_is_shown_of_a_block(owner: Caller, block: dict[str, Any], shown: dict[str, Any]) -> None:
    assert await blocks_shown(owner, block) == [shown]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "code", "code": "print(1)"},
        {"type": "refusal", "text": "no"},
        {"type": "thinking", "text": "hm"},
        {"type": "computer_action", "computer_action": {"x": 1}},
        {"type": "function_call", "function_call": {"name": "f"}},
        {"type": "image", "url": "https://example.org/a.png"},
    ],
)
async def test_what_is_not_shown(owner: Caller, block: dict[str, Any]) -> None:
    assert await blocks_shown(owner, block) == []
    assert await blocks_shown(owner, {"type": "text", "text": "a"}, block) == [{"type": "text", "text": "a"}]


async def test_images_are_shown_when_their_owner_says_so(owner: Caller) -> None:
    image = {"type": "image", "url": "https://example.org/a.png", "detail": "low"}
    assert await blocks_shown(owner, image, include_images=True) == [
        {"type": "image", "image": {"url": "https://example.org/a.png", "detail": "low"}}
    ]


async def test_a_shared_answer_stands_alone_or_with_its_question(owner: Caller) -> None:
    conversation = await talk(owner)
    await owner.append(conversation, "And then?", "Please")
    await owner.append(conversation, "be brief", role="system")
    await owner.append(conversation, "To Porto.", role="assistant")
    await owner.append(conversation, "Thanks")
    ids = await owner.ids(conversation)
    alone = await snapshot(owner, await share(owner, conversation, scope="item", item_id=ids[5]))
    assert [item["id"] for item in alone["items"]] == [ids[5]]
    wish = {"scope": "item", "item_id": ids[5], "include_context_messages": True}
    made = await share(owner, conversation, **wish)
    assert made["share_options"] == {"include_context_messages": True}
    assert [item["id"] for item in (await snapshot(owner, made))["items"]] == [ids[3], ids[5]]


async def test_an_answer_without_a_question_before_it(owner: Caller) -> None:
    conversation = await owner.conversation()
    await owner.append(conversation, "Hello", "How are you?", role="assistant")
    wish = {"scope": "item", "item_id": await answer_of(owner, conversation)}
    made = await share(owner, conversation, **wish, include_context_messages=True)
    assert len((await snapshot(owner, made))["items"]) == 1


async def test_another_branch_can_be_shared(owner: Caller) -> None:
    conversation = await talk(owner)
    await owner.post(f"{conversation}/branches", {"name": "side"})
    await owner.post(f"{conversation}/branches/side/activate")
    await owner.append(conversation, "one", "two")
    await owner.post(f"{conversation}/branches/MAIN/activate")
    shown = await snapshot(owner, await share(owner, conversation, branch="side"))
    assert [item["content"][0]["text"] for item in shown["items"]] == ["one", "two"]


async def test_a_long_conversation_is_shown_whole(owner: Caller) -> None:
    conversation = await owner.conversation()
    texts = [f"message {number}" for number in range(420)]
    for start in range(0, len(texts), 20):
        await owner.append(conversation, *texts[start : start + 20])
    shown = await snapshot(owner, await share(owner, conversation))
    assert [item["content"][0]["text"] for item in shown["items"]] == texts


async def test_links_that_show_nothing(owner: Caller) -> None:
    made = await share(owner, await talk(owner))
    await owner.delete(f"/v1/shares/{made['id']}")
    for slug in (made["slug"], "0" * 22):
        answer = await owner.llm_api.get(f"/v1/public/shares/{slug}")
        assert answer.status_code == 410
        body = answer.json()
        assert (body["code"], body["message"]) == ("share_revoked", "This share has been revoked")
        assert "Cache-Control" not in answer.headers
        assert (await owner.llm_api.head(f"/v1/public/shares/{slug}")).status_code == 410


@pytest.mark.parametrize("slug", ["short", "0" * 23, "0" * 21 + "-", "0" * 21 + "é"])
async def test_what_cannot_be_a_slug(owner: Caller, slug: str) -> None:
    answer = await owner.llm_api.get(f"/v1/public/shares/{slug}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "slug")
    assert (await owner.llm_api.head(f"/v1/public/shares/{slug}")).status_code == 404


async def test_links_stand_at_the_root_only(owner: Caller) -> None:
    made = await share(owner, await talk(owner))
    answer = await owner.get(f"/llm/v1/public/shares/{made['slug']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


async def test_views_are_counted(owner: Caller) -> None:
    conversation = await talk(owner)
    made = await share(owner, conversation)
    path = f"/v1/public/shares/{made['slug']}"
    for _ in range(3):
        await owner.llm_api.get(path)
    await owner.llm_api.head(path)

    async def listed() -> dict[str, Any]:
        [row] = (await owner.get(f"{conversation}/shares")).json()["data"]
        return dict(row)

    async def counted() -> bool:
        return bool((await listed())["view_count"] == 4)

    await eventually(counted)
    row = await listed()
    assert row["last_viewed_at"] >= row["created_at"]
    assert row["updated_at"] == made["updated_at"]


async def test_views_outlive_the_service(owner: Caller, another: ServiceContext) -> None:
    conversation = await talk(owner)
    made = await share(owner, conversation)
    async with running(another) as other:
        await other.get(f"/v1/public/shares/{made['slug']}")
    [row] = (await owner.get(f"{conversation}/shares")).json()["data"]
    assert row["view_count"] == 1


async def test_head_through_a_socket_has_the_length_and_no_body(
    owner: Caller, another: ServiceContext
) -> None:
    made = await share(owner, await talk(owner))
    path = f"/v1/public/shares/{made['slug']}"
    async with listening(create_app(another)) as url, httpx.AsyncClient(base_url=url) as client:
        read, looked = await client.get(path), await client.head(path)
    assert (looked.status_code, looked.content) == (200, b"")
    assert looked.headers["Content-Length"] == str(len(read.content))
    assert looked.headers["Cache-Control"] == read.headers["Cache-Control"]


async def test_reads_are_limited_by_address(owner: Caller, issuer_url: str, start: Start) -> None:
    made = await share(owner, await talk(owner))
    path = f"/v1/public/shares/{made['slug']}"
    limited = await start(issuer_url, conversations={"public_reads_per_minute": 3})
    first, second = {"X-Real-IP": "192.0.2.1"}, {"X-Real-IP": "192.0.2.2"}
    for method in ("GET", "HEAD", "GET"):
        assert (await limited.request(method, path, headers=first)).status_code == 200
    for method in ("GET", "HEAD"):
        refused = await limited.request(method, path, headers=first)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert (await limited.get(path, headers=first)).json()["code"] == "rate_limited"
    assert (await limited.get(path, headers=second)).status_code == 200


async def test_reads_are_in_the_metrics(owner: Caller) -> None:
    made = await share(owner, await talk(owner))
    await owner.llm_api.get(f"/v1/public/shares/{made['slug']}")
    await owner.llm_api.head(f"/v1/public/shares/{'0' * 22}")
    metrics = (await owner.llm_api.get("/metrics")).text
    assert 'jan_llm_api_public_share_requests_total{method="GET",status="200"}' in metrics
    assert 'jan_llm_api_public_share_requests_total{method="HEAD",status="410"}' in metrics
    assert 'jan_llm_api_shares_total{scope="conversation",status="created"}' in metrics
