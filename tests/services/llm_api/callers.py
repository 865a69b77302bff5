"""Callers whom the gateway has let in: each request carries the identity that the gateway signs."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from tests.services.llm_api.conftest import HEADER_SECRET

_SIGNER = IdentitySigner(HEADER_SECRET)


@dataclass(frozen=True)
class Caller:
    """A user in front of the LLM API."""

    llm_api: httpx.AsyncClient
    principal: Principal

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {HEADER: _SIGNER.sign(self.principal), **request.pop("headers", {})}
        return await self.llm_api.request(method, path, headers=headers, **request)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.send("GET", path, params=query)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.send("POST", path, json=body)

    async def patch(self, path: str, body: Any) -> httpx.Response:
        return await self.send("PATCH", path, json=body)

    async def delete(self, path: str) -> httpx.Response:
        return await self.send("DELETE", path)

    async def conversation(self, **members: Any) -> str:
        """The path of a new conversation."""
        made = await self.post("/v1/conversations", members)
        assert made.status_code == 200, made.text
        return f"/v1/conversations/{made.json()['id']}"

    async def append(self, conversation: str, *texts: str, role: str = "user") -> list[str]:
        """The ids of new messages with these texts."""
        items = [{"role": role, "content": [{"type": "text", "text": text}]} for text in texts]
        made = await self.post(f"{conversation}/items", {"items": items})
        assert made.status_code == 200, made.text
        return [item["id"] for item in made.json()["data"]]

    async def items(self, conversation: str, **query: Any) -> list[dict[str, Any]]:
        """The items of a branch, the oldest first."""
        page = await self.get(f"{conversation}/items", order="asc", limit=100, **query)
        assert page.status_code == 200, page.text
        return list(page.json()["data"])

    async def texts(self, conversation: str, **query: Any) -> list[str]:
        """The texts of a branch's items, the oldest first."""
        return [text_of(item) for item in await self.items(conversation, **query)]

    async def ids(self, conversation: str, **query: Any) -> list[str]:
        """The ids of a branch's items, the oldest first."""
        return [item["id"] for item in await self.items(conversation, **query)]


def text_of(item: dict[str, Any]) -> str:
    """The text of an item's first block."""
    block = item["content"][0]
    return str(block[block["type"]])


def new_caller(llm_api: httpx.AsyncClient) -> Caller:
    """A caller who was never seen before."""
    subject = str(uuid.uuid4())
    return Caller(llm_api, Principal(subject=subject, issuer="http://realm.example/realms/jan"))
