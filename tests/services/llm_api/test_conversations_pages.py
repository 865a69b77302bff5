"""Walking through lists: complete and without repetition, whatever is added meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.llm_api.callers import Caller, new_caller

# The app outlives the examples; each example brings a caller with a list of its own.
many = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Order = Literal["asc", "desc"]
Meanwhile = Callable[[int], Awaitable[None]]


async def walk(
    caller: Caller, path: str, order: Order, limit: int, cursor: str, meanwhile: Meanwhile
) -> list[str]:
    """The ids that somebody meets who goes on with the member `cursor` of each page."""
    met: list[str] = []
    after: dict[str, Any] = {}
    for turn in range(200):
        page = (await caller.get(path, order=order, limit=limit, **after)).json()
        met += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return met
        after = {"after": page.get(cursor) or page["last_id"]}
        await meanwhile(turn)
    raise AssertionError("the walk does not end")


async def conversations(caller: Caller, count: int) -> list[str]:
    return [(await caller.conversation()).rpartition("/")[2] for _ in range(count)]


@many
@given(
    count=st.integers(0, 12),
    limit=st.integers(1, 5),
    added=st.lists(st.integers(0, 3), max_size=8),
    order=st.sampled_from(["asc", "desc"]),
    cursor=st.sampled_from(["last_id", "next_cursor"]),
)
async def test_added_conversations_neither_hide_nor_repeat_others(
    llm_api: httpx.AsyncClient, count: int, limit: int, added: list[int], order: Order, cursor: str
) -> None:
    caller = new_caller(llm_api)
    before = await conversations(caller, count)

    async def add(turn: int) -> None:
        if turn < len(added):
            await conversations(caller, added[turn])

    met = await walk(caller, "/v1/conversations", order, limit, cursor, add)
    assert len(set(met)) == len(met)
    assert [conversation for conversation in met if conversation in before] == (
        before if order == "asc" else before[::-1]
    )
    if order == "desc":
        assert len(met) == count


@many
@given(
    count=st.integers(1, 10),
    limit=st.integers(1, 4),
    changes=st.lists(st.tuples(st.sampled_from(["touch", "delete", "add"]), st.integers(0, 9)), max_size=10),
    order=st.sampled_from(["asc", "desc"]),
)
async def test_a_walk_by_cursor_meets_all_that_stay_while_others_are_changed_and_deleted(
    llm_api: httpx.AsyncClient,
    count: int,
    limit: int,
    changes: list[tuple[str, int]],
    order: Order,
) -> None:
    caller = new_caller(llm_api)
    before = await conversations(caller, count)
    touched: set[str] = set()
    deleted: set[str] = set()

    async def change(turn: int) -> None:
        if turn >= len(changes):
            return
        kind, place = changes[turn]
        chosen = before[place % count]
        if kind == "add":
            await conversations(caller, 1)
        elif kind == "delete":
            deleted.add(chosen)
            await caller.delete(f"/v1/conversations/{chosen}")
        elif chosen not in deleted:
            touched.add(chosen)
            await caller.append(f"/v1/conversations/{chosen}", "hello")

    met = await walk(caller, "/v1/conversations", order, limit, "next_cursor", change)
    untouched = [conversation for conversation in before if conversation not in touched | deleted]
    assert [met.count(conversation) for conversation in untouched] == [1] * len(untouched)
    if order == "asc":
        assert set(met) >= set(before) - deleted


async def test_deleting_the_conversation_that_ended_a_page_does_not_end_the_walk(
    llm_api: httpx.AsyncClient,
) -> None:
    caller = new_caller(llm_api)
    before = await conversations(caller, 4)
    page = (await caller.get("/v1/conversations", limit=2)).json()
    await caller.delete(f"/v1/conversations/{page['last_id']}")
    rest = (await caller.get("/v1/conversations", limit=2, after=page["last_id"])).json()
    assert [row["id"] for row in rest["data"]] == [before[1], before[0]]


async def test_a_strangers_conversation_is_no_place_to_go_on_from(llm_api: httpx.AsyncClient) -> None:
    caller, stranger = new_caller(llm_api), new_caller(llm_api)
    [theirs] = await conversations(stranger, 1)
    assert (await caller.get("/v1/conversations", after=theirs)).status_code == 400


async def test_offsets_skip_rows_and_win_over_after(llm_api: httpx.AsyncClient) -> None:
    caller = new_caller(llm_api)
    before = await conversations(caller, 5)
    page = (await caller.get("/v1/conversations", offset=3, after=before[4])).json()
    assert [row["id"] for row in page["data"]] == [before[1], before[0]]
    assert (page["total"], page["has_more"]) == (5, False)
    path = await caller.conversation()
    items = await caller.append(path, *"abcde")
    for order, expected in (("asc", items[3:]), ("desc", items[1::-1])):
        page = (await caller.get(f"{path}/items", order=order, offset=3)).json()
        assert [row["id"] for row in page["data"]] == expected


@many
@given(
    count=st.integers(0, 12),
    limit=st.integers(1, 5),
    added=st.lists(st.integers(0, 3), max_size=8),
    order=st.sampled_from(["asc", "desc"]),
)
async def test_added_items_neither_hide_nor_repeat_others(
    llm_api: httpx.AsyncClient, count: int, limit: int, added: list[int], order: Order
) -> None:
    caller = new_caller(llm_api)
    path = await caller.conversation()
    before = await caller.append(path, *map(str, range(count)))

    async def add(turn: int) -> None:
        if turn < len(added):
            await caller.append(path, *map(str, range(added[turn])))

    met = await walk(caller, f"{path}/items", order, limit, "last_id", add)
    if order == "desc":
        assert met == before[::-1]
    else:
        assert met == (await caller.ids(path))[: len(met)]
        assert met[:count] == before


@many
@given(
    count=st.integers(0, 6),
    limit=st.integers(1, 3),
    added=st.lists(st.integers(0, 2), max_size=5),
    order=st.sampled_from(["asc", "desc"]),
    cursor=st.sampled_from(["last_id", "next_cursor"]),
)
async def test_added_projects_neither_hide_nor_repeat_others(
    llm_api: httpx.AsyncClient, count: int, limit: int, added: list[int], order: Order, cursor: str
) -> None:
    caller = new_caller(llm_api)

    async def make(name: str) -> str:
        return str((await caller.post("/v1/projects", {"name": name})).json()["id"])

    before = [await make(str(number)) for number in range(count)]

    async def add(turn: int) -> None:
        if turn < len(added):
            for number in range(added[turn]):
                await make(f"added in turn {turn}, {number}")

    met = await walk(caller, "/v1/projects", order, limit, cursor, add)
    assert len(set(met)) == len(met)
    assert [project for project in met if project in before] == (before if order == "asc" else before[::-1])
    if order == "desc":
        assert len(met) == count
