"""What tests of shares do again and again: a short talk, a share of it, a look at the link."""

from __future__ import annotations

import secrets
from ipaddress import IPv6Address
from typing import Any

from tests.services.llm_api.callers import Caller


async def talk(owner: Caller, *, question: str = "Where shall we go?", **members: Any) -> str:
    """The path of a new conversation of a question and its answer."""
    conversation = await owner.conversation(**members)
    await owner.append(conversation, question)
    await owner.append(conversation, "To Lisbon.", role="assistant")
    return conversation


async def answer_of(owner: Caller, conversation: str) -> str:
    """The id of the newest item of a conversation."""
    return (await owner.ids(conversation))[-1]


async def share(owner: Caller, conversation: str, **wish: Any) -> dict[str, Any]:
    """A new share."""
    made = await owner.post(f"{conversation}/share", {"scope": "conversation", **wish})
    assert made.status_code == 201, made.text
    members: dict[str, Any] = made.json()
    return members


async def is_readable(reader: Caller, shared: dict[str, Any]) -> bool:
    """Whether anybody who has the link reads the conversation."""
    # Each time from another address: how often one may read is another test's matter.
    address = {"X-Real-IP": str(IPv6Address(secrets.randbits(128)))}
    answer = await reader.llm_api.get(f"/v1/public/shares/{shared['slug']}", headers=address)
    assert answer.status_code in (200, 410), answer.text
    return answer.status_code == 200
