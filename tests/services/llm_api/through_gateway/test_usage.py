"""Usage through the gateway, for its callers and for administrators."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.llm_api.conftest import eventually
from tests.services.llm_api.through_gateway.stack import MODEL, Visitor

SUMMARY = {
    "total_prompt_tokens",
    "total_completion_tokens",
    "total_tokens",
    "request_count",
    "estimated_cost_usd",
}


@pytest.mark.route(
    "GET /v1/usage/me", "GET /v1/usage/me/daily", "GET /v1/usage/projects/{project_id}", "GET /v1/admin/usage"
)
async def test_a_call_is_counted_for_everybody_whom_it_concerns(visitor: Visitor, root: Visitor) -> None:
    guest = await visitor.guest()
    number = (await guest.send("GET", "/v1/models")).headers["x-user-id"]
    project = await guest.post("/v1/projects", {"name": "thesis"}, status=201)
    conversation = await guest.post("/v1/conversations", {"project_id": project["id"]})
    messages = [{"role": "user", "content": "Hello"}]
    chat = {"model": MODEL, "messages": messages, "conversation": conversation["id"]}
    await guest.post("/v1/chat/completions", chat)

    async def counted() -> bool:
        return bool((await guest.get("/v1/usage/me"))["total_usage"]["request_count"])

    await eventually(counted)

    def of_one_call(report: dict[str, Any]) -> bool:
        return report["total_usage"].keys() >= SUMMARY and report["total_usage"]["total_tokens"] == 12

    own = await guest.get("/v1/usage/me")
    assert of_one_call(own) and [row["model"] for row in own["by_model"]] == [MODEL]
    assert own["period"].keys() == {"start_date", "end_date"}
    [day] = (await guest.get("/v1/usage/me/daily"))["data"]
    assert (day["date"], day["total_tokens"]) == (own["period"]["end_date"], 12)
    assert of_one_call(await guest.get(f"/v1/usage/projects/{project['id']}"))
    platform = await root.get("/v1/admin/usage", user_id=number)
    assert of_one_call(platform) and [str(one["user_id"]) for one in platform["top_users"]] == [number]
    table = await guest.send("GET", "/v1/usage/me", params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv") and MODEL in table.text
