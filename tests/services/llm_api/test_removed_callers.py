"""A user whom another process removed, while this one still remembers the row."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.services.llm_api.callers import new_caller
from tests.services.llm_api.platform import Platform
from tests.sql import run_sql


async def remove(database_url: str, subject: str) -> None:
    assert await run_sql(database_url, "delete from llm_api.users where subject = %s", (subject,)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/conversations", {}),
        ("POST", "/llm/v1/projects", {"name": "p", "instruction": ""}),
        ("POST", "/auth/api-keys", {"name": "k"}),
        ("PATCH", "/v1/users/me/settings", {"memory_config": {"enabled": False}}),
    ],
)
async def test_a_write_is_401_and_the_row_is_forgotten(
    llm_api: httpx.AsyncClient, database_url: str, method: str, path: str, body: dict[str, Any]
) -> None:
    caller = new_caller(llm_api)
    assert (await caller.get("/v1/conversations")).status_code == 200
    await remove(database_url, caller.principal.subject)
    answer = await caller.send(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "account_removed"), answer.text
    assert (await caller.send(method, path, json=body)).status_code in (200, 201)


async def test_a_chat_with_a_conversation_is_401_too(platform: Platform, database_url: str) -> None:
    async with platform.client("leaver") as client:
        assert (await client.get("/v1/models")).status_code == 200
        await remove(database_url, "subject-of-leaver")
        body = {
            "model": "scripted-model",
            "conversation": "",
            "messages": [{"role": "user", "content": "Hello"}],
        }
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "account_removed"), answer.text
