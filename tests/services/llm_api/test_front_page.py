"""Whoever opens the platform's address finds the way to its documentation and to a token."""

from __future__ import annotations

import httpx

FORWARDED = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "jan.example:8000", "X-Forwarded-Port": "8000"}


async def test_a_browser_gets_a_page_whose_links_work(llm_api: httpx.AsyncClient) -> None:
    page = await llm_api.get(
        "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", **FORWARDED}
    )
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "curl -X POST http://jan.example:8000/auth/guest-login" in page.text
    for link in ("/api/swagger", "/readyz"):
        assert f'href="{link}"' in page.text
        assert (await llm_api.get(link)).status_code == 200
    assert "https://" not in page.text


async def test_a_program_gets_the_same_as_json(llm_api: httpx.AsyncClient) -> None:
    links = (await llm_api.get("/", headers=FORWARDED)).json()
    assert links["token"] == "http://jan.example:8000/auth/guest-login"
    assert links["base_url"] == "http://jan.example:8000/v1"


async def test_a_host_cannot_write_into_the_page(llm_api: httpx.AsyncClient) -> None:
    headers = {"Accept": "text/html", "X-Forwarded-Host": "<script>alert(1)</script>"}
    assert "<script>" not in (await llm_api.get("/", headers=headers)).text


async def test_only_the_address_itself_is_served(llm_api: httpx.AsyncClient) -> None:
    assert (await llm_api.post("/")).status_code == 404
    assert (await llm_api.get("/llm/")).status_code == 404
