"""API keys: made, shown once, listed, limited, revoked."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from jan_server.authentication.identity_header import HEADER
from jan_server.authentication.principal import Principal
from tests.services.llm_api.conftest import bearer, eventually, running, settings_for

DAY_NS = 24 * 3600 * 1_000_000_000
KEYS = "/auth/api-keys"


@dataclass(frozen=True)
class Owner:
    headers: dict[str, str]


@pytest.fixture
def person(signer):
    """Somebody new for whom the gateway vouches."""
    principal = Principal(subject=uuid.uuid4().hex, issuer="http://issuer.example/realms/jan")
    return Owner({HEADER: signer.sign(principal)})


@pytest.fixture
async def registered(register):
    """Somebody whom the identity server knows: only such a user's keys are good."""
    return await register("user")


async def make(llm_api, person, **body):
    answer = await llm_api.post(KEYS, json={"name": "ci", **body}, headers=person.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def days_left(key):
    left = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    return round(left / timedelta(days=1))


async def test_a_new_key_shows_its_secret_once(llm_api, person):
    answer = await llm_api.post("/llm" + KEYS, json={"name": " ci "}, headers=person.headers)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()
    prefix, secret = key["key"].rsplit("_", 1)
    assert prefix == key["prefix"] == "sk_live"
    assert len(secret) == 48 and int(secret, 16) >= 0
    assert key["suffix"] == secret[-4:] and key["name"] == "ci" and key["status"] == "active"

    listed = (await llm_api.get(KEYS, headers=person.headers)).json()
    assert listed == {"items": [{name: value for name, value in key.items() if name != "key"}]}


async def test_the_secret_is_not_stored(llm_api, person, database_url):
    secret = (await make(llm_api, person))["key"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select api_keys::text from llm_api.api_keys").fetchall()
    assert rows and not any(secret in row[0] or secret[8:] in row[0] for row in rows)


@pytest.mark.parametrize(
    ("body", "days"),
    [
        ({}, 90),
        ({"expires_in": 0}, 90),
        ({"expires_in": -5}, 90),
        ({"expires_in": 7 * DAY_NS}, 7),
        ({"expires_in": 400 * DAY_NS}, 90),
        ({"expires_in": 2**63 - 1}, 90),
        ({"expires_in_days": 30}, 30),
        ({"expires_in_days": 0}, 90),
        ({"expires_in_days": 365}, 90),
        ({"expires_in_days": 10**12}, 90),
        ({"expires_in": None, "unknown": 1}, 90),
    ],
)
async def test_life_is_given_in_nanoseconds_or_days_and_cut(llm_api, person, body, days):
    assert days_left(await make(llm_api, person, **body)) == days


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"name": "null\x00character"}, "name"),
        ({"name": "a", "expires_in": "soon"}, "expires_in"),
        ({"name": "a", "expires_in": 1}, "expires_in"),
        ({"name": "a", "expires_in": 3600}, "expires_in"),
        ({"name": "a", "expires_in": 999_999_999}, "expires_in"),
        ({"name": "a", "expires_in_days": 1.5}, "expires_in_days"),
        ({"name": "a", "expires_in": DAY_NS, "expires_in_days": 1}, None),
    ],
)
async def test_a_bad_body_names_the_field(llm_api, person, body, param):
    answer = await llm_api.post(KEYS, json=body, headers=person.headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_a_life_in_seconds_is_told_its_unit(llm_api, person):
    answer = await llm_api.post(KEYS, json={"name": "ci", "expires_in": 3600}, headers=person.headers)
    assert answer.status_code == 400 and "nanoseconds" in answer.json()["message"]
    key = await make(llm_api, person, expires_in=1_000_000_000)
    assert days_left(key) == 0


async def test_only_the_first_json_value_of_a_body_counts(llm_api, person):
    answer = await llm_api.post(KEYS, content=b'{"name":"ci"}}', headers=person.headers)
    assert answer.status_code == 201
    for content in (b"", b"{", b"[]"):
        answer = await llm_api.post(KEYS, content=content, headers=person.headers)
        assert answer.status_code == 400


async def test_the_limit_holds_against_requests_at_the_same_time(llm_api, person):
    posts = [llm_api.post(KEYS, json={"name": str(n)}, headers=person.headers) for n in range(12)]
    answers = await asyncio.gather(*posts)
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [400] * 7
    refusal = next(answer for answer in answers if answer.status_code == 400).json()
    assert refusal["message"].startswith("api key limit reached")
    assert refusal["error"]["code"] == "api_key_limit_reached"


async def test_revoked_keys_do_not_count_and_stay_listed_newest_first(llm_api, person):
    keys = [await make(llm_api, person, name=str(number)) for number in range(5)]
    await llm_api.delete(f"{KEYS}/{keys[1]['id']}", headers=person.headers)
    keys.append(await make(llm_api, person, name="5"))
    items = (await llm_api.get(KEYS, headers=person.headers)).json()["items"]
    assert [item["name"] for item in items] == ["5", "4", "3", "2", "1", "0"]
    assert [item["status"] for item in items] == ["active"] * 4 + ["revoked", "active"]
    assert items[4]["revoked_at"] and "revoked_at" not in items[0]


async def test_revoking_twice_is_no_error(llm_api, person):
    key = await make(llm_api, person)
    for _ in range(2):
        answer = await llm_api.delete(f"/llm{KEYS}/{key['id']}", headers=person.headers)
        assert answer.status_code == 204 and answer.content == b""


@pytest.mark.parametrize(
    ("key_id", "status"),
    [("null", 400), ("7", 404), ("a-b", 404), ("1b4e28ba-2fa1-11d2-883f-0016d3cca427", 404)],
)
async def test_ids_that_are_none_are_not_found(llm_api, person, key_id, status):
    answer = await llm_api.delete(f"{KEYS}/{key_id}", headers=person.headers)
    assert answer.status_code == status


async def test_keys_of_others_cannot_be_seen_nor_revoked(llm_api, registered, person):
    key = await make(llm_api, registered)
    assert (await llm_api.get(KEYS, headers=person.headers)).json() == {"items": []}
    answer = await llm_api.delete(f"{KEYS}/{key['id']}", headers=person.headers)
    assert answer.status_code == 404 and answer.json()["message"] == "api key not found"
    assert (await llm_api.get("/auth/me", headers=bearer(key["key"]))).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_key_can_neither_make_nor_change_nor_revoke_keys(llm_api, registered, prefix):
    key, other = await make(llm_api, registered), await make(llm_api, registered, name="other")
    headers = bearer(key["key"])
    for method, path, body in (
        ("POST", KEYS, {"name": "successor"}),
        ("PATCH", f"{KEYS}/{other['id']}", {"name": "mine"}),
        ("DELETE", f"{KEYS}/{other['id']}", None),
        ("DELETE", f"{KEYS}/{key['id']}", None),
    ):
        answer = await llm_api.request(method, prefix + path, json=body, headers=headers)
        assert answer.status_code == 403 and "access token" in answer.json()["message"]
    items = (await llm_api.get(prefix + KEYS, headers=headers)).json()["items"]
    assert [(item["name"], item["status"]) for item in items] == [("other", "active"), ("ci", "active")]


async def test_the_limit_the_life_and_the_prefix_are_settings(start, issuer_url, registered):
    llm_api = await start(
        issuer_url,
        api_key={"prefix": "sk_my_own_team", "max_per_user": 1, "max_ttl": "48h", "default_ttl": "24h"},
    )
    key = await make(llm_api, registered, expires_in_days=9)
    assert key["key"].startswith("sk_my_own_team_") and days_left(key) == 2
    assert (await llm_api.get("/auth/me", headers=bearer(key["key"]))).status_code == 200
    answer = await llm_api.post(KEYS, json={"name": "second"}, headers=registered.headers)
    assert answer.status_code == 400


async def test_the_last_use_is_written_down(llm_api, registered):
    key = await make(llm_api, registered)
    assert "last_used_at" not in key
    before = datetime.now(UTC)
    assert (await llm_api.post("/auth/validate-api-key", json={"api_key": key["key"]})).status_code == 200

    async def written():
        item = (await llm_api.get(KEYS, headers=registered.headers)).json()["items"][0]
        return "last_used_at" in item and datetime.fromisoformat(item["last_used_at"]) >= before

    await eventually(written)


async def test_a_stop_loses_no_use(llm_api, context, issuer_url, registered):
    key = await make(llm_api, registered)
    async with running(context(settings_for(issuer_url))) as stopping:
        await stopping.get("/auth/me", headers=bearer(key["key"]))
    assert (await llm_api.get(KEYS, headers=registered.headers)).json()["items"][0]["last_used_at"]
