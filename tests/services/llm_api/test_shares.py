"""Shares for their owners: making, listing and revoking them, and what revokes them besides."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from jan_server.http.context import ServiceContext
from jan_server.settings.tree import Settings, plain
from tests.services.llm_api.callers import Caller, new_caller
from tests.services.llm_api.conftest import Start, running, settings_for
from tests.services.llm_api.sharing import answer_of, is_readable, share, talk


@pytest.fixture
def owner(llm_api: httpx.AsyncClient) -> Caller:
    return new_caller(llm_api)


async def test_a_new_share(owner: Caller) -> None:
    conversation = await talk(owner, title="Trip plan")
    answer = await owner.post(f"{conversation}/share", {"scope": "conversation", "include_images": True})
    assert answer.status_code == 201
    made = answer.json()
    assert re.fullmatch(r"shr_[0-9a-z]{16}", made["id"])
    assert re.fullmatch(r"[0-9A-Za-z]{22}", made["slug"])
    assert made["created_at"] == made["updated_at"]
    slug = made["slug"]
    for member in ("id", "slug", "created_at", "updated_at"):
        del made[member]
    assert made == {
        "object": "share",
        "share_url": f"http://llm-api/v1/public/shares/{slug}",
        "title": "Trip plan",
        "visibility": "unlisted",
        "view_count": 0,
        "snapshot_version": 1,
        "share_options": {"include_images": True},
    }


async def test_options_that_were_not_chosen_are_left_out_of_reads(owner: Caller) -> None:
    conversation = await talk(owner)
    made = await share(owner, conversation)
    assert made["share_options"] == {}
    [listed] = (await owner.get(f"{conversation}/shares")).json()["data"]
    assert "share_options" not in listed
    assert listed == {name: value for name, value in made.items() if name != "share_options"}


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "jan.example.com"}, "https://jan.example.com"),
        (
            {
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "jan.example.com",
                "X-Forwarded-Port": "443",
            },
            "https://jan.example.com",
        ),
        (
            {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "localhost", "X-Forwarded-Port": "8000"},
            "http://localhost:8000",
        ),
        ({"X-Forwarded-Host": "jan.example.com:8443, inner"}, "http://jan.example.com:8443"),
        ({"X-Forwarded-Proto": "https"}, "https://llm-api"),
        ({"X-Forwarded-Proto": "javascript"}, "http://llm-api"),
        ({"X-Forwarded-Host": "jan.example.com/evil?"}, "http://localhost:8000"),
        ({"X-Forwarded-Host": "[::1]", "X-Forwarded-Port": "8000"}, "http://[::1]:8000"),
    ],
)
async def test_the_link_leads_where_the_caller_came_from(
    owner: Caller, headers: dict[str, str], origin: str
) -> None:
    conversation = await talk(owner)
    made = await owner.send("POST", f"{conversation}/share", json={"scope": "conversation"}, headers=headers)
    assert made.json()["share_url"] == f"{origin}/v1/public/shares/{made.json()['slug']}"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("public_url", ["https://jan.example.com/", "http://localhost:8000"])
async def test_the_link_leads_to_a_proxy_with_tls_that_names_no_port(
    owner: Caller,
    issuer_url: str,
    context: Callable[[Settings], ServiceContext],
    scheme: str,
    public_url: str,
) -> None:
    tree = plain(settings_for(issuer_url))
    tree["infrastructure"]["gateway"] = {"public_url": public_url}
    headers = {
        "X-Forwarded-Proto": scheme,
        "X-Forwarded-Host": "jan.example.com",
        "X-Forwarded-Port": "8000",
    }
    conversation = await talk(owner)
    async with running(context(Settings.model_validate(tree))) as llm_api:
        behind = Caller(llm_api, owner.principal)
        made = await behind.send(
            "POST", f"{conversation}/share", json={"scope": "conversation"}, headers=headers
        )
    # Nothing but the setting can tell of a proxy whose word the gateway does not take.
    origin = (
        "http://jan.example.com:8000"
        if (scheme, public_url) == ("http", "http://localhost:8000")
        else "https://jan.example.com"
    )
    assert made.json()["share_url"] == f"{origin}/v1/public/shares/{made.json()['slug']}"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "scope"),
        ({"scope": "everything"}, "scope"),
        ({"scope": "item"}, "item_id"),
        ({"scope": "item", "item_id": "item-1"}, "item_id"),
        ({"scope": "conversation", "title": "x" * 257}, "title"),
        ({"scope": "conversation", "title": "a\0b"}, "title"),
        ({"scope": "conversation", "include_images": 7}, "include_images"),
    ],
)
async def test_a_bad_wish_is_refused_by_name(owner: Caller, body: dict[str, Any], param: str) -> None:
    answer = await owner.post(f"{await talk(owner)}/share", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    if body == {"scope": "item"}:
        assert answer.json()["code"] == "share-item-001"


async def test_the_title(owner: Caller) -> None:
    titled = await talk(owner, title="Trip plan")
    assert (await share(owner, titled, title=" Our trip "))["title"] == "Our trip"
    assert (await share(owner, titled, title=""))["title"] == "Trip plan"
    untitled = await talk(owner, question="Where shall we go in spring, and where in autumn, my dear?")
    title = (await share(owner, untitled))["title"]
    assert title == "Where shall we go in spring, and where in autumn,..."
    greek = await talk(owner, question="π" * 40)
    assert (await share(owner, greek))["title"] == "π" * 25 + "..."
    short = await talk(owner, question="Hello")
    assert (await share(owner, short))["title"] == "Hello"
    silent = await owner.conversation()
    await owner.append(silent, "one", "two", role="assistant")
    assert (await share(owner, silent))["title"] == "Untitled Conversation"


async def test_fewer_than_two_items_cannot_be_shared(owner: Caller) -> None:
    conversation = await owner.conversation()
    await owner.append(conversation, "alone")
    answer = await owner.post(f"{conversation}/share", {"scope": "conversation"})
    assert answer.status_code == 400
    assert answer.json()["message"] == "conversation must have at least 2 items to share"


async def test_nothing_to_show_cannot_be_shared(owner: Caller) -> None:
    conversation = await owner.conversation()
    await owner.append(conversation, "one", "two", role="system")
    answer = await owner.post(f"{conversation}/share", {"scope": "conversation"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "scope")


async def test_only_a_completed_answer_can_be_shared_alone(owner: Caller) -> None:
    conversation = await talk(owner)
    [question, answer] = await owner.ids(conversation)
    unfinished = {"role": "assistant", "status": "incomplete", "content": "I was"}
    made = await owner.post(f"{conversation}/items", {"items": [unfinished]})
    for item_id in (question, made.json()["data"][0]["id"]):
        refused = await owner.post(f"{conversation}/share", {"scope": "item", "item_id": item_id})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "item_id")
    shared = await share(owner, conversation, scope="item", item_id=answer)
    assert shared["item_id"] == answer


async def test_the_item_has_to_be_in_the_branch(owner: Caller) -> None:
    conversation = await talk(owner)
    answer = (await owner.ids(conversation))[1]
    await owner.post(f"{conversation}/branches", {"name": "side", "fork_from_item_id": answer})
    copied = (await owner.ids(conversation, branch="side"))[1]
    for item_id, branch, status in (
        (answer, "MAIN", 201),
        (answer, "side", 404),
        (copied, "side", 201),
        (copied, "MAIN", 404),
        ("msg_unknown", "MAIN", 404),
        (answer, "nowhere", 404),
    ):
        wish = {"scope": "item", "item_id": item_id, "branch": branch}
        assert (await owner.post(f"{conversation}/share", wish)).status_code == status, (item_id, branch)
        of_query = await owner.send(
            "POST",
            f"{conversation}/share",
            params={"branch": branch},
            json={**wish, "branch": "MAIN" if branch == "side" else "side"},
        )
        assert of_query.status_code == status


async def test_more_than_ten_mebibytes_cannot_be_shared(owner: Caller) -> None:
    conversation = await owner.conversation()
    await owner.append(conversation, "hello")
    block = {"type": "text", "text": "x" * 100_000}
    item = {"role": "assistant", "content": [block] * 53}
    for _ in range(2):
        made = await owner.post(f"{conversation}/items", {"items": [item]})
        assert made.status_code == 200
    answer = await owner.post(f"{conversation}/share", {"scope": "conversation"})
    assert answer.status_code == 400
    assert "10 MiB" in answer.json()["message"]


async def test_a_new_share_replaces_the_one_before(owner: Caller) -> None:
    conversation = await talk(owner)
    first = await share(owner, conversation)
    second = await share(owner, conversation)
    assert not await is_readable(owner, first)
    assert await is_readable(owner, second)
    listed = (await owner.get(f"{conversation}/shares")).json()
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == [second["id"], first["id"]]
    assert "revoked_at" not in listed["data"][0]
    assert listed["data"][1]["revoked_at"] >= first["created_at"]


async def test_a_share_that_is_refused_leaves_the_one_before(owner: Caller) -> None:
    conversation = await talk(owner)
    first = await share(owner, conversation)
    question = (await owner.ids(conversation))[0]
    for wish in ({"scope": "item", "item_id": question}, {"scope": "conversation", "branch": "nowhere"}):
        assert (await owner.post(f"{conversation}/share", wish)).status_code in (400, 404)
    assert await is_readable(owner, first)


async def test_of_shares_made_at_once_one_works(owner: Caller) -> None:
    conversation = await talk(owner)
    made = await asyncio.gather(*(share(owner, conversation) for _ in range(6)))
    readable = [await is_readable(owner, one) for one in made]
    assert readable.count(True) == 1


@pytest.mark.parametrize("path", ["{conversation}/shares/{share}", "/v1/shares/{share}"])
async def test_a_revoked_share_shows_nothing(owner: Caller, path: str) -> None:
    conversation = await talk(owner)
    made = await share(owner, conversation)
    where = path.format(conversation=conversation, share=made["id"])
    assert (await owner.delete(where)).json() == {
        "id": made["id"],
        "object": "share.deleted",
        "deleted": True,
    }
    assert not await is_readable(owner, made)
    again = await owner.delete(where)
    assert (again.status_code, again.json()["message"]) == (400, "share is already revoked")
    unknown = await owner.delete(path.format(conversation=conversation, share="shr_unknown"))
    assert unknown.status_code == 404
    assert (await owner.delete(path.format(conversation=conversation, share="none"))).status_code == 404


async def test_a_share_is_found_in_its_own_conversation_only(owner: Caller) -> None:
    first, second = await talk(owner), await talk(owner)
    made = await share(owner, first)
    assert (await owner.delete(f"{second}/shares/{made['id']}")).status_code == 404
    assert (await owner.get(f"{second}/shares")).json()["data"] == []
    assert await is_readable(owner, made)


async def test_the_list_of_all_conversations(owner: Caller) -> None:
    assert (await owner.get("/v1/shares")).json() == {"object": "list", "data": []}
    made = [await share(owner, await talk(owner)) for _ in range(3)]
    await owner.delete(f"/v1/shares/{made[1]['id']}")
    listed = (await owner.get("/v1/shares")).json()["data"]
    assert [row["id"] for row in listed] == [row["id"] for row in reversed(made)]
    working = (await owner.get("/v1/shares", include_revoked="false")).json()["data"]
    assert [row["id"] for row in working] == [made[2]["id"], made[0]["id"]]
    assert len((await owner.get("/v1/shares", include_revoked="true")).json()["data"]) == 3


async def test_lists_show_the_newest_twenty(owner: Caller) -> None:
    conversation = await talk(owner)
    made = [(await share(owner, conversation))["id"] for _ in range(22)]
    newest = made[:1:-1]
    for path in ("/v1/shares", f"{conversation}/shares"):
        assert [row["id"] for row in (await owner.get(path)).json()["data"]] == newest


@pytest.mark.parametrize("everything", [False, True])
async def test_a_deleted_conversation_takes_its_share_along(owner: Caller, everything: bool) -> None:
    conversation, other = await talk(owner), await talk(owner)
    made, kept = await share(owner, conversation), await share(owner, other)
    deleted = await owner.delete("/v1/conversations" if everything else conversation)
    assert deleted.status_code == 200
    assert not await is_readable(owner, made)
    assert await is_readable(owner, kept) is not everything
    listed = {row["id"]: row for row in (await owner.get("/v1/shares")).json()["data"]}
    assert "revoked_at" in listed[made["id"]]
    assert ("revoked_at" in listed[kept["id"]]) is everything


async def test_no_share_outlives_a_deletion_at_the_same_time(owner: Caller) -> None:
    for everything in (False, True) * 4:
        conversation = await talk(owner)
        deletion = owner.delete("/v1/conversations" if everything else conversation)
        wishes = (owner.post(f"{conversation}/share", {"scope": "conversation"}) for _ in range(3))
        *answers, deleted = await asyncio.gather(*wishes, deletion)
        assert deleted.status_code == 200
        assert {answer.status_code for answer in answers} <= {201, 404}
        for answer in answers:
            if answer.status_code == 201:
                assert not await is_readable(owner, answer.json())


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_stranger_finds_nothing_and_changes_nothing(owner: Caller, prefix: str) -> None:
    stranger = new_caller(owner.llm_api)
    conversation, own = await talk(owner), await talk(stranger)
    made = await share(owner, conversation)
    for method, path in (
        ("POST", f"{conversation}/share"),
        ("GET", f"{conversation}/shares"),
        ("DELETE", f"{conversation}/shares/{made['id']}"),
        ("DELETE", f"{own}/shares/{made['id']}"),
        ("DELETE", f"/v1/shares/{made['id']}"),
    ):
        answer = await stranger.send(method, prefix + path, json={"scope": "conversation"})
        assert answer.status_code == 404, (method, path)
    assert (await stranger.get(f"{prefix}/v1/shares")).json()["data"] == []
    assert await is_readable(owner, made)
    item = await answer_of(owner, conversation)
    wish = {"scope": "item", "item_id": item}
    assert (await stranger.post(f"{own}/share", wish)).status_code == 404


async def test_the_routes_stand_below_llm_too(owner: Caller) -> None:
    conversation = await talk(owner)
    made = await owner.post(f"/llm{conversation}/share", {"scope": "conversation"})
    assert made.status_code == 201
    # The public link is served at the root alone.
    assert made.json()["share_url"] == f"http://llm-api/v1/public/shares/{made.json()['slug']}"
    for path in (f"/llm{conversation}/shares", "/llm/v1/shares"):
        assert [row["id"] for row in (await owner.get(path)).json()["data"]] == [made.json()["id"]]
    assert (await owner.delete(f"/llm{conversation}/shares/{made.json()['id']}")).status_code == 200


async def test_without_a_credential_nothing_is_shared(owner: Caller) -> None:
    conversation = await talk(owner)
    for method, path in (
        ("POST", f"{conversation}/share"),
        ("GET", f"{conversation}/shares"),
        ("DELETE", f"{conversation}/shares/shr_1"),
        ("GET", "/v1/shares"),
        ("DELETE", "/v1/shares/shr_1"),
    ):
        assert (await owner.llm_api.request(method, path)).status_code == 401


async def test_sharing_can_be_switched_off(owner: Caller, issuer_url: str, start: Start) -> None:
    conversation = await talk(owner)
    made = await share(owner, conversation)
    without = Caller(await start(issuer_url, conversations={"sharing_enabled": False}), owner.principal)
    for method, path, code in (
        ("POST", f"{conversation}/share", "share-disabled-001"),
        ("GET", f"{conversation}/shares", "share-disabled-002"),
        ("DELETE", f"{conversation}/shares/{made['id']}", "share-disabled-003"),
        ("GET", "/v1/shares", "share-disabled-004"),
        ("DELETE", f"/v1/shares/{made['id']}", "share-disabled-005"),
    ):
        answer = await without.send(method, path, json={"scope": 7})
        assert answer.status_code == 403
        assert (answer.json()["message"], answer.json()["code"]) == (
            "conversation sharing is not enabled",
            code,
        )
    unknown = await without.post("/v1/conversations/conv_unknown/share", {"scope": "conversation"})
    assert unknown.status_code == 404
    # Links that are out go on working.
    assert await is_readable(without, made)
