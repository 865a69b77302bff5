"""Shares through the gateway: for their owners, and for everybody who has the link."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.llm_api.through_gateway.stack import Visitor, WholeStack
from tests.services.llm_api.through_gateway.test_conversations import talk

__all__ = ["talk"]

WHOLE = {"scope": "conversation"}


@pytest.fixture
def reader(stack: WholeStack) -> Visitor:
    """Somebody who has nothing but the link."""
    return stack.visitor


def ids(listed: dict[str, Any]) -> list[str]:
    assert listed["object"] == "list"
    return [one["id"] for one in listed["data"]]


@pytest.mark.route(
    "POST /v1/conversations/{conversation_id}/share",
    "GET /v1/conversations/{conversation_id}/shares",
    "DELETE /v1/conversations/{conversation_id}/shares/{share_id}",
    "GET /v1/public/shares/{slug}",
    "HEAD /v1/public/shares/{slug}",
)
async def test_a_share_is_read_without_a_credential_until_it_is_revoked(
    stack: WholeStack, ann: Visitor, reader: Visitor, talk: str
) -> None:
    made = await ann.post(f"{talk}/share", WHOLE, status=201)
    assert made["share_url"] == f"{stack.gateway}/v1/public/shares/{made['slug']}"
    assert (made["object"], made["visibility"], made["title"]) == ("share", "unlisted", "Trip plan")
    public = f"/v1/public/shares/{made['slug']}"
    read = await reader.send("GET", public)
    assert read.headers["cache-control"].startswith("public")
    assert [one["role"] for one in read.json()["snapshot"]["items"]] == ["user", "assistant"]
    assert (await reader.send("HEAD", public)).content == b""
    assert ids(await ann.get(f"{talk}/shares")) == [made["id"]]
    gone = await ann.delete(f"{talk}/shares/{made['id']}")
    assert gone == {"id": made["id"], "object": "share.deleted", "deleted": True}
    for method in ("GET", "HEAD"):
        await reader.send(method, public, status=410)


@pytest.mark.route("GET /v1/shares", "DELETE /v1/shares/{share_id}")
async def test_all_shares_of_a_caller(ann: Visitor, reader: Visitor, talk: str) -> None:
    made = await ann.post(f"{talk}/share", WHOLE, status=201)
    assert made["id"] in ids(await ann.get("/v1/shares"))
    await ann.delete(f"/v1/shares/{made['id']}")
    assert made["id"] not in ids(await ann.get("/v1/shares", include_revoked="false"))
    await reader.send("GET", f"/v1/public/shares/{made['slug']}", status=410)
