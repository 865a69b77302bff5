"""A guest becomes a registered user, keeps what it has, and nobody else changes an address this way."""

import pytest

from tests.services.llm_api.conftest import bearer


@pytest.fixture
async def guest(llm_api):
    return (await llm_api.post("/auth/guest-login")).json()


@pytest.fixture(scope="module")
async def lasting_guest(llm_api):
    """A guest whom no test changes."""
    return (await llm_api.post("/auth/guest-login")).json()


def address(guest):
    return f"{guest['username'][6:14]}@example.org"


async def test_an_upgraded_guest_is_a_user_with_an_unproved_address(llm_api, accounts, guest):
    headers = bearer(guest["access_token"])
    key = (await llm_api.post("/auth/api-keys", json={"name": "kept"}, headers=headers)).json()
    body = {"email": address(guest), "full_name": "Ada Lovelace", "username": "ignored"}
    answer = await llm_api.post("/llm/auth/upgrade", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"status": "upgraded"}

    account = await accounts.find(guest["user_id"])
    assert account.email == address(guest) and account.first_name == "Ada Lovelace"
    assert not account.guest
    assert account.representation.get("emailVerified") is not True
    assert "guest" not in (await accounts.rights(account.id)).roles

    refreshed = await llm_api.post("/auth/refresh-token", json={"refresh_token": guest["refresh_token"]})
    headers = bearer(refreshed.json()["access_token"])
    me = (await llm_api.get("/auth/me", headers=headers)).json()
    assert me["guest"] is False and me["email"] == address(guest)
    keys = (await llm_api.get("/auth/api-keys", headers=headers)).json()["items"]
    assert [entry["id"] for entry in keys] == [key["id"]]


async def test_a_password_of_ones_own_lets_the_user_log_in_again(llm_api, identity, guest):
    body = {"email": address(guest), "password": "a long pass phrase"}
    answer = await llm_api.post("/auth/upgrade", json=body, headers=bearer(guest["access_token"]))
    assert answer.status_code == 200
    assert answer.json()["status"] == "upgraded" and answer.json()["expires_at"]
    me = await llm_api.get("/auth/me", headers=bearer(answer.json()["access_token"]))
    assert me.json()["guest"] is False
    assert (await identity.password_grant(address(guest), "a long pass phrase")).access_token


async def test_the_same_upgrade_twice_changes_nothing(llm_api, guest):
    headers, body = bearer(guest["access_token"]), {"email": address(guest)}
    assert (await llm_api.post("/auth/upgrade", json=body, headers=headers)).status_code == 200
    assert (await llm_api.post("/auth/upgrade", json=body, headers=headers)).status_code == 200
    other = await llm_api.post("/auth/upgrade", json={"email": "other@example.org"}, headers=headers)
    assert other.status_code == 409


async def test_a_registered_user_cannot_change_its_address_this_way(llm_api, accounts, register):
    person = await register("user")
    answer = await llm_api.post("/auth/upgrade", json={"email": "new@example.org"}, headers=person.headers)
    assert answer.status_code == 409
    assert (await accounts.find(person.id)).email == person.email


async def test_an_address_that_somebody_has_is_refused(llm_api, accounts, register, guest):
    person = await register("user")
    answer = await llm_api.post(
        "/auth/upgrade", json={"email": person.email}, headers=bearer(guest["access_token"])
    )
    assert answer.status_code == 409
    assert answer.json()["error"]["param"] == "email"
    assert (await accounts.find(guest["user_id"])).guest


async def test_an_api_key_is_not_enough(llm_api, guest):
    made = await llm_api.post("/auth/api-keys", json={"name": "k"}, headers=bearer(guest["access_token"]))
    body = {"email": address(guest)}
    answer = await llm_api.post("/auth/upgrade", json=body, headers=bearer(made.json()["key"]))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "email"),
        ({"email": 7}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "a b@example.org"}, "email"),
        ({"email": "a@example..org"}, "email"),
        ({"email": "a@example.org", "password": "short"}, "password"),
    ],
)
async def test_a_bad_body_names_the_field(llm_api, lasting_guest, body, param):
    headers = bearer(lasting_guest["access_token"])
    answer = await llm_api.post("/auth/upgrade", json=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_account_that_is_gone_is_not_found(llm_api, accounts, guest):
    await accounts.delete(guest["user_id"])
    body = {"email": address(guest)}
    answer = await llm_api.post("/auth/upgrade", json=body, headers=bearer(guest["access_token"]))
    assert answer.status_code == 404
