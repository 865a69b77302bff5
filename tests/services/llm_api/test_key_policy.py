"""What a key may use, when it ends, and whether its answers are used again."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from tests.doubles.openai_upstream import Answer
from tests.services.llm_api.conftest import Serve, eventually
from tests.services.llm_api.platform import Platform
from tests.sql import run_sql

MODEL = "unknown/scripted-model"
HELLO: Any = [{"role": "user", "content": "Hello"}]
KEYS = "/auth/api-keys"
ADMIN_KEYS = "/v1/admin/api-keys"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Person:
    platform: Platform
    principal: Principal

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str
    ) -> httpx.Response:
        principal = replace(self.principal, key_id=key, method="apikey" if key else "jwt")
        headers[HEADER] = self.platform.signer.sign(principal)
        async with self.platform.client() as client:
            return await client.request(method, path, json=body, headers=headers)

    async def key(self, **members: Any) -> str:
        made = await self.send("POST", KEYS, {"name": "ci", **members})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def chat(self, key: str = "", **members: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": HELLO, "stream": False, **members}
        return await self.send("POST", "/v1/chat/completions", body, key=key)


def new_person(platform: Platform, *roles: str) -> Person:
    name = f"person-{uuid.uuid4().hex[:8]}"
    issuer = "http://issuer.example/realms/jan"
    return Person(platform, Principal(subject=name, issuer=issuer, username=name, email=name, roles=roles))


@pytest.fixture
def person(platform: Platform) -> Person:
    return new_person(platform)


@pytest.fixture
def admin(platform: Platform) -> Person:
    return new_person(platform, "admin")


def end_of(answer: httpx.Response) -> datetime:
    assert answer.status_code == 200, answer.text
    return datetime.fromisoformat(answer.json()["expires_at"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/completions", {"prompt": "Hello"}),
        ("/v1/embeddings", {"input": "Hello"}),
        ("/v1/moderations", {"input": "Hello"}),
        ("/v1/rerank", {"query": "Hello", "documents": ["Hello"]}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 5}),
        ("/v1/audio/speech", {"input": "Hello", "voice": "alloy"}),
        ("/v1/images/generations", {"prompt": "Hello"}),
        ("/v1/images/edits", {"prompt": "Hello", "image": "data:image/png;base64,iVBORw0KGgo="}),
    ],
)
async def test_denied_models_are_403_on_every_route(
    picturing: Platform, path: str, body: dict[str, Any]
) -> None:
    person = new_person(picturing)
    key = await person.key(allowed_models=["unknown/*"], denied_models=["*scripted*"])
    calls = len(picturing.upstream.calls)
    refused = await person.send("POST", path, {"model": MODEL, **body}, key=key)
    assert refused.status_code == 403, refused.text
    assert "this API key may not use the model" in refused.text
    assert len(picturing.upstream.calls) == calls


@pytest.fixture(scope="module")
async def picturing(serve: Serve, serving_platform: Platform) -> Platform:
    """A platform whose only provider makes pictures too."""
    return await serve(serving_platform.upstream, llm_api={"images": {"enabled": True}})


@pytest.mark.parametrize(
    ("path", "form", "file"),
    [
        ("/v1/audio/transcriptions", {}, ("file", "a.wav", b"RIFF", "audio/wav")),
        ("/v1/audio/translations", {}, ("file", "a.wav", b"RIFF", "audio/wav")),
        ("/v1/images/edits", {"prompt": "Hello"}, ("image", "a.png", b"\x89PNG\r\n\x1a\n", "image/png")),
        # Variations are not made at all.
        ("/v1/images/variations", {}, ("image", "a.png", b"\x89PNG\r\n\x1a\n", "image/png")),
    ],
    ids=["transcriptions", "translations", "edits", "variations"],
)
async def test_uploads_for_denied_models_reach_no_provider(
    picturing: Platform, path: str, form: dict[str, str], file: tuple[str, str, bytes, str]
) -> None:
    person = new_person(picturing)
    key = await person.key(denied_models=["unknown/*"])
    principal = replace(person.principal, key_id=key, method="apikey")
    calls = len(picturing.upstream.calls)
    async with picturing.client() as client:
        refused = await client.post(
            path,
            data={"model": MODEL, **form},
            files={file[0]: file[1:]},
            headers={HEADER: picturing.signer.sign(principal)},
        )
    assert refused.status_code == (501 if path.endswith("variations") else 403), refused.text
    assert len(picturing.upstream.calls) == calls


async def test_the_list_shows_what_the_key_may_call(person: Person) -> None:
    for limits, shown in (
        ({"denied_models": ["unknown/*"]}, False),
        ({"allowed_models": ["openai/*"]}, False),
        ({"allowed_models": ["*/scripted-?odel"], "denied_models": ["openai/*"]}, True),
    ):
        key = await person.key(**limits)
        for headers in ({}, {"X-PROVIDER-DATA": "true"}):
            listed = await person.send("GET", "/v1/models", key=key, **headers)
            assert listed.status_code == (200 if shown else 404)
        one = await person.send("GET", f"/v1/models/{MODEL}", key=key)
        assert one.status_code == (200 if shown else 404)
        if not shown:
            assert one.json()["error"]["code"] == "model_not_found"
        await person.send("DELETE", f"{KEYS}/{key}")
    assert MODEL in (await person.send("GET", "/v1/models")).text


async def test_models_that_the_operator_denies_do_not_exist(serve: Serve, serving_platform: Platform) -> None:
    platform = await serve(serving_platform.upstream, llm_api={"denied_models": ["unknown/scripted*"]})
    person = new_person(platform)
    refused = await person.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert MODEL not in (await person.send("GET", "/v1/models")).text


async def test_a_keys_answers_are_used_again(person: Person, platform: Platform) -> None:
    key = await person.key(cache={"ttl": 60})
    platform.upstream.next(Answer("first"))
    first = (await person.chat(key)).json()
    platform.upstream.next(Answer("second"))
    assert (await person.chat(key)).json() == first
    # The request's own word wins; a token has no such word, and another user is another matter.
    assert (await person.chat(key, cache=False)).json() != first
    for other, its_key in ((person, ""), (stranger := new_person(platform), "")):
        platform.upstream.next(Answer("another"))
        assert "another" in (await other.chat(its_key)).text
    platform.upstream.next(Answer("strange"))
    assert "strange" in (await stranger.chat(await stranger.key(cache={"ttl": 60, "shared": True}))).text
    shown = (await person.send("GET", KEYS)).json()["items"][0]
    assert shown["cache"] == {"ttl": 60, "shared": False}
    taken = await person.send("PATCH", f"{KEYS}/{key}", {"cache": None})
    assert "cache" not in taken.json()


async def test_shared_answers_need_the_word_of_both(person: Person, platform: Platform) -> None:
    wish = {"ttl": 60, "shared": True}
    question: Any = [{"role": "user", "content": uuid.uuid4().hex}]
    platform.upstream.next(Answer("for everybody"))
    first = await person.chat(await person.key(cache=wish), messages=question)
    other = new_person(platform)
    platform.upstream.next(Answer("anew"))
    assert (await other.chat(await other.key(cache=wish), messages=question)).json() == first.json()
    assert "anew" in (await other.chat(await other.key(cache={"ttl": 60}), messages=question)).text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"cache": {"ttl": 0}}, "cache.ttl"),
        ({"cache": {"ttl": "60"}}, "cache.ttl"),
        ({"cache": {"ttl": 60, "scope": "all"}}, "cache.scope"),
        ({"denied_models": []}, "denied_models"),
    ],
)
async def test_a_bad_member_is_named(person: Person, body: dict[str, Any], param: str) -> None:
    refused = await person.send("POST", KEYS, {"name": "ci", **body})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


async def test_an_end_is_put_off_and_brought_forward(person: Person) -> None:
    path = f"{KEYS}/{await person.key(expires_in_days=1)}"
    moment = datetime.now(UTC)
    later = end_of(await person.send("PATCH", path, {"expires_in_days": 30}))
    assert timedelta(days=29) < later - moment < timedelta(days=31)
    sooner = end_of(await person.send("PATCH", path, {"expires_at": (moment + DAY).isoformat()}))
    assert abs(sooner - moment - DAY) < timedelta(seconds=1)
    longest = end_of(await person.send("PATCH", path, {"expires_in_days": 30_000}))
    assert longest - moment < timedelta(days=91)
    for body, status in (
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400),
        ({"expires_at": "2020-01-01T00:00:00"}, 400),
        ({"expires_at": None}, 403),
        ({"expires_at": moment.isoformat(), "expires_in_days": 3}, 400),
    ):
        assert (await person.send("PATCH", path, body)).status_code == status


async def test_only_administrators_let_a_key_work_for_ever(person: Person, admin: Person) -> None:
    key = await person.key()
    endless = await admin.send("PATCH", f"{ADMIN_KEYS}/{key}", {"expires_at": None})
    assert endless.status_code == 200 and "expires_at" not in endless.json()
    assert endless.json()["status"] == "active"
    await admin.send("PATCH", f"{ADMIN_KEYS}/{key}", {"requests_per_minute": 9})
    assert (await person.send("PATCH", f"{KEYS}/{key}", {"expires_in_days": 3})).status_code == 403


async def test_an_expired_key_works_again_and_a_revoked_one_never(person: Person, database_url: str) -> None:
    key = await person.key()
    sql = "update llm_api.api_keys set expires_at = now() - interval '1 s' where id = %s"
    await run_sql(database_url, sql, [key])
    assert (await person.send("GET", KEYS)).json()["items"][0]["status"] == "expired"
    assert end_of(await person.send("PATCH", f"{KEYS}/{key}", {"expires_in_days": 3})) > datetime.now(UTC)
    await person.send("DELETE", f"{KEYS}/{key}")
    assert (await person.send("PATCH", f"{KEYS}/{key}", {"expires_in_days": 3})).status_code == 409


async def test_changes_at_the_same_time_lose_nothing(person: Person, admin: Person) -> None:
    key = await person.key()
    names = ("requests_per_minute", "tokens_per_minute", "budget_usd", "budget_tokens")
    number = (await person.send("GET", "/v1/models")).headers["x-user-id"]
    for path in (f"{ADMIN_KEYS}/{key}", f"/v1/admin/user-limits/{number}"):
        await asyncio.gather(*(admin.send("PATCH", path, {name: 7_000_000}) for name in names))
        shown = (await admin.send("PATCH", path, {"budget_period": "day"})).json()
        assert all(int(shown[name]) == 7_000_000 for name in names)


async def test_two_instances_hold_a_key_to_one_budget(
    person: Person, platform: Platform, picturing: Platform
) -> None:
    key = await person.key(budget_tokens=12, budget_period="day")
    assert (await person.chat(key)).status_code == 200
    elsewhere = Person(picturing, person.principal)

    async def refused_there() -> bool:
        return (await elsewhere.chat(key)).status_code == 402

    await eventually(refused_there)
    for instance in (elsewhere, person):
        refused = await instance.chat(key)
        assert refused.status_code == 402
        assert "its limit of 12 tokens a day; it resets at " in refused.json()["error"]["message"]
        assert refused.json()["error"]["code"] == "budget_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 24 * 3600
