"""How callers are counted: by addresses that nobody can invent, in tables that stay small."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.app import create_app
from jan_server.services.llm_api.guests import GuestQuota
from jan_server.services.llm_api.request_limit import REMEMBERED, RequestLimit
from jan_server.settings.tree import Settings
from tests.services.llm_api.conftest import settings_for

SHARE = f"/v1/public/shares/{'0' * 22}"


@pytest.mark.parametrize(
    ("peer", "answers"),
    [("192.0.2.1", [410, 429, 429]), ("127.0.0.1", [410, 410, 429])],
    ids=["a client", "a trusted proxy"],
)
async def test_only_trusted_proxies_name_other_addresses(
    context: Callable[[Settings], ServiceContext], peer: str, answers: list[int]
) -> None:
    settings = settings_for("http://127.0.0.1:9", conversations={"public_reads_per_minute": 1})
    app = create_app(context(settings))
    assert isinstance(app, FastAPI)
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://llm-api") as client,
    ):
        for told, status in zip(("2001:db8::1", "2001:db8:0:1::1", "2001:db8::2"), answers, strict=True):
            answer = await client.get(SHARE, headers={"X-Real-IP": told, "X-Forwarded-For": told})
            assert answer.status_code == status


def test_callers_beyond_the_table_push_the_quietest_out() -> None:
    limit = RequestLimit(1)
    assert limit.take("busy")
    for number in range(REMEMBERED + 5):
        assert limit.take(f"caller {number}")
        assert not limit.take("busy")
    assert len(limit._buckets) == REMEMBERED


def test_a_refused_caller_gains_no_more_than_time_gives() -> None:
    limit = RequestLimit(2)
    assert [limit.take("somebody") for _ in range(5)] == [True, True, False, False, False]


def test_the_table_of_guests_is_bounded_too() -> None:
    quota = GuestQuota(1)
    assert quota.take("busy") == 0
    for number in range(GuestQuota.REMEMBERED + 5):
        assert quota.take(f"address {number}") == 0
        assert quota.take("busy") > 0
    assert len(quota._made) == GuestQuota.REMEMBERED
