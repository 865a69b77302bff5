"""Whether a presented key is good: asked anew each time, with a bounded grace while nobody can tell."""

import pytest

from tests.doubles.keycloak import refused
from tests.services.llm_api.conftest import bearer, eventually
from tests.sql import run_sql

VALIDATE = "/auth/validate-api-key"


@pytest.fixture
async def person(register):
    return await register("user", "admin")


async def make_key(llm_api, person, **body):
    answer = await llm_api.post("/auth/api-keys", json={"name": "ci", **body}, headers=person.headers)
    return answer.json()


async def check(llm_api, key):
    return await llm_api.post(VALIDATE, json={"api_key": key["key"]})


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_good_key_tells_all_about_its_owner(llm_api, person, identity, accounts, prefix):
    answer = await identity.administer(
        "POST",
        "/groups",
        body={
            "name": f"pilots{prefix[1:]}",
            "attributes": {"feature_flags": ["experimental_models", "beta"]},
        },
    )
    group = answer.location.rpartition("/")[2]
    await identity.administer("PUT", f"/users/{person.id}/groups/{group}")
    key = await make_key(llm_api, person)
    answer = await llm_api.post(prefix + VALIDATE, json={"api_key": key["key"]})
    assert answer.status_code == 200
    owner = answer.json()
    assert owner["subject"] == person.id and owner["email"] == person.email
    assert owner["user_id"].isdigit() and owner["key_id"] == key["id"]
    assert {"first_name", "last_name", "username", "issuer"} <= set(owner)
    assert {"user", "admin"} <= set(owner["roles"])
    assert f"/pilots{prefix[1:]}" in owner["groups"]
    assert {"experimental_models", "beta"} <= set(owner["feature_flags"])
    assert owner["guest"] is False


async def test_a_key_in_authorization_is_the_owner(llm_api, person):
    key = await make_key(llm_api, person)
    answer = await llm_api.get("/auth/me", headers=bearer(key["key"]))
    assert answer.status_code == 200
    me = answer.json()
    assert me["auth_method"] == "apikey" and me["subject"] == person.id
    assert me["id"].isdigit() and me["is_admin"] is True
    assert answer.headers["x-principal-id"] == answer.headers["x-user-id"] == me["id"]
    assert answer.headers["x-auth-method"] == "apikey"
    keys = await llm_api.get("/auth/api-keys", headers=bearer(key["key"]))
    assert [item["id"] for item in keys.json()["items"]] == [key["id"]]


async def test_a_revoked_key_is_refused_from_the_next_request_on(llm_api, person):
    key = await make_key(llm_api, person)
    assert (await check(llm_api, key)).status_code == 200
    await llm_api.delete(f"/auth/api-keys/{key['id']}", headers=person.headers)
    assert (await check(llm_api, key)).status_code == 401
    assert (await llm_api.get("/auth/me", headers=bearer(key["key"]))).status_code == 401


async def test_an_expired_key_is_refused(llm_api, person, database_url):
    key = await make_key(llm_api, person)
    await run_sql(database_url, "update llm_api.api_keys set expires_at = now() where id = %s", (key["id"],))
    assert (await check(llm_api, key)).status_code == 401
    items = (await llm_api.get("/auth/api-keys", headers=person.headers)).json()["items"]
    assert items[0]["status"] == "expired"


async def test_a_disabled_owner_is_refused_from_the_next_request_on(llm_api, person, accounts):
    key = await make_key(llm_api, person)
    assert (await check(llm_api, key)).status_code == 200
    account = await accounts.find(person.id)
    await accounts.update(account, {"enabled": False})
    assert (await check(llm_api, key)).status_code == 401
    await accounts.update(account, {"enabled": True})
    assert (await check(llm_api, key)).status_code == 200


async def test_a_removed_owner_is_refused_from_the_next_request_on(llm_api, person, accounts):
    key = await make_key(llm_api, person)
    assert (await check(llm_api, key)).status_code == 200
    await accounts.delete(person.id)
    assert (await check(llm_api, key)).status_code == 401
    assert (await llm_api.get("/auth/me", headers=bearer(key["key"]))).status_code == 401


@pytest.mark.parametrize("key", ["sk_live_unknown", "x", "sk_" + "y" * 5000, "sk_live_\x00", "sk_ü"])
async def test_unknown_keys_are_refused(llm_api, key):
    answer = await llm_api.post(VALIDATE, json={"api_key": key})
    assert answer.status_code == 401
    assert answer.json()["message"] == "invalid api key"


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"api_key":""}', b'{"api_key":7}', b"[]"])
async def test_a_bad_body_is_told_apart_from_a_bad_key(llm_api, body):
    answer = await llm_api.post(VALIDATE, content=body)
    assert answer.status_code == 400


async def made_at(start, keycloak, **settings):
    """An LLM API in front of the scripted realm, with a key of a user there."""
    llm_api = await start(keycloak.url, **settings)
    user = keycloak.add_user("somebody")
    user.roles.add("user")
    answer = await llm_api.post("/auth/api-keys", json={"name": "ci"}, headers=bearer(keycloak.token(user)))
    return llm_api, user, answer.json()


async def test_while_the_identity_server_is_away_known_keys_go_on_working(start, keycloak):
    llm_api, _, key = await made_at(start, keycloak)
    assert (await check(llm_api, key)).status_code == 200
    keycloak.down = True
    for _ in range(3):
        answer = await check(llm_api, key)
        assert answer.status_code == 200 and answer.json()["roles"] == ["user"]
    headers = bearer(keycloak.token(next(iter(keycloak.users.values()))))
    await llm_api.delete(f"/auth/api-keys/{key['id']}", headers=headers)
    assert (await check(llm_api, key)).status_code == 401


async def test_the_grace_ends_and_then_nobody_can_tell(start, keycloak):
    llm_api, _, key = await made_at(start, keycloak, api_key={"grace": "300ms"})
    assert (await check(llm_api, key)).status_code == 200
    keycloak.down = True

    async def refused():
        return (await check(llm_api, key)).status_code == 503

    await eventually(refused)
    assert (await llm_api.get("/auth/me", headers=bearer(key["key"]))).status_code == 503


async def test_a_key_that_was_never_vouched_for_is_503_not_401_while_nobody_can_tell(start, keycloak):
    llm_api, _, key = await made_at(start, keycloak)
    keycloak.down = True
    answer = await check(llm_api, key)
    assert answer.status_code == 503
    assert (await check(llm_api, {"key": "sk_live_unknown"})).status_code == 401
    keycloak.down = False

    async def works():
        return (await check(llm_api, key)).status_code == 200

    await eventually(works)


async def test_an_owner_who_was_disabled_gets_no_grace(start, keycloak):
    llm_api, user, key = await made_at(start, keycloak)
    assert (await check(llm_api, key)).status_code == 200
    user.enabled = False
    assert (await check(llm_api, key)).status_code == 401
    keycloak.down = True
    assert (await check(llm_api, key)).status_code == 503


async def test_a_service_account_without_rights_refuses_nobodys_key_as_invalid(start, keycloak):
    llm_api, _, key = await made_at(start, keycloak)

    async def forbid(_):
        return refused(403, "HTTP 403 Forbidden")

    keycloak.script("GET", "/groups", forbid)
    assert (await check(llm_api, key)).status_code == 503


async def test_the_service_account_logs_in_anew_when_its_token_is_refused(start, keycloak):
    llm_api, _, key = await made_at(start, keycloak)
    assert (await check(llm_api, key)).status_code == 200
    rejected = []

    async def refuse_once(request):
        if not rejected:
            rejected.append(request.path)
            return refused(401, "HTTP 401 Unauthorized")
        return None

    keycloak.script("GET", f"/users/{next(iter(keycloak.users))}", refuse_once)
    assert (await check(llm_api, key)).status_code == 200
    assert rejected
