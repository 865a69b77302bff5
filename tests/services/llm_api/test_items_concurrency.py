"""Many writers in two processes' worth of apps on one conversation: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.services.llm_api.callers import Caller, new_caller
from tests.services.llm_api.conftest import Start

WRITERS = 50
ROUNDS = 4


async def two_apps(start: Start, issuer_url: str) -> list[Caller]:
    """One user in front of two LLM APIs with connection pools of their own."""
    first = new_caller(await start(issuer_url))
    return [first, replace(first, llm_api=await start(issuer_url))]


async def branch_items(owner: Caller, path: str, branch: str) -> dict[int, str]:
    """Number and id of every item of a branch."""
    found: dict[int, str] = {}
    after = {}
    while True:
        page = (await owner.get(f"{path}/items", order="asc", limit=100, branch=branch, **after)).json()
        found |= {item["sequence_number"]: item["id"] for item in page["data"]}
        if not page["has_more"]:
            return found
        after = {"after": page["last_id"]}


async def test_fifty_writers_lose_and_double_nothing(start: Start, issuer_url: str) -> None:
    owners = await two_apps(start, issuer_url)
    path = await owners[0].conversation()

    async def write(writer: int) -> list[list[str]]:
        owner = owners[writer % 2]
        return [await owner.append(path, f"{writer} asks", f"{writer} again") for _ in range(ROUNDS)]

    pairs = [pair for written in await asyncio.gather(*map(write, range(WRITERS))) for pair in written]
    stored = await branch_items(owners[1], path, "MAIN")
    assert list(stored) == list(range(1, 2 * WRITERS * ROUNDS + 1))
    assert set(stored.values()) == {item for pair in pairs for item in pair}
    # What one request brought stands together, in its order.
    order = {item: number for number, item in stored.items()}
    assert all(order[second] == order[first] + 1 for first, second in pairs)
    [main] = (await owners[0].get(f"{path}/branches")).json()["data"]
    assert main["item_count"] == len(stored)


async def test_writers_and_revisions_at_once_leave_every_branch_whole(start: Start, issuer_url: str) -> None:
    owners = await two_apps(start, issuer_url)
    path = await owners[0].conversation()
    first = await owners[0].append(path, *map(str, range(5)))

    async def write(writer: int) -> list[str]:
        return await owners[writer % 2].append(path, f"written by {writer}")

    async def revise(reviser: int) -> list[str]:
        owner = owners[reviser % 2]
        if reviser % 3 == 0:
            answer = await owner.delete(f"{path}/items/{first[3]}")
        elif reviser % 3 == 1:
            answer = await owner.post(f"{path}/items/{first[2]}/edit", {"content": "edited"})
        else:
            answer = await owner.post(f"{path}/items/{first[4]}/regenerate")
        assert answer.status_code == 200, answer.text
        return []

    written = await asyncio.gather(
        *(revise(turn // 5) if turn % 5 == 2 else write(turn) for turn in range(WRITERS))
    )
    branches = (await owners[0].get(f"{path}/branches")).json()["data"]
    assert len(branches) == 1 + WRITERS // 5
    everything: list[str] = []
    for branch in branches:
        stored = await branch_items(owners[0], path, branch["name"])
        assert list(stored) == list(range(1, branch["item_count"] + 1))
        everything += stored.values()
    assert len(set(everything)) == len(everything)
    assert set(everything) >= {item for ids in written for item in ids} | set(first)


async def test_a_manual_title_and_metadata_set_at_once_are_both_kept(start: Start, issuer_url: str) -> None:
    owners = await two_apps(start, issuer_url)
    path = await owners[0].conversation(metadata={"a": "1"})
    await asyncio.gather(
        owners[0].post(path, {"title": "Mine"}), owners[1].post(path, {"metadata": {"b": "2"}})
    )
    kept = (await owners[0].get(path)).json()
    assert (kept["title"], kept["metadata"]["b"], kept["metadata"]["title_locked"]) == ("Mine", "2", "true")
