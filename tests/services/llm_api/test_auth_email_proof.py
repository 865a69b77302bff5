"""An upgraded guest proves its address by a link that comes by mail, once, and nothing else proves it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from jan_server.http.context import ServiceContext
from jan_server.services.llm_api import email_proofs
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.mail import Mailer, mailer_of
from jan_server.settings.tree import Settings, plain
from tests.gateway.serving import free_port
from tests.services.llm_api.conftest import bearer, running, settings_for
from tests.sql import run_sql

# The mail server of these tests is on this machine alone.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

PUBLIC = "https://jan.example.org"
UPGRADE = "/auth/upgrade"
VERIFY = "/auth/verify-email"


@dataclass
class Mailbox:
    """What a real mail server took."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    refuses: bool = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "554 not today"
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        assert envelope.rcpt_tos == [message["To"]]
        self.messages.append(message)
        return "250 taken"

    def tokens(self) -> list[str]:
        """The tokens of the links in all messages."""
        links = [re.findall(r"https?://\S+", message.get_content()) for message in self.messages]
        assert all(len(found) == 1 and found[0].startswith(f"{PUBLIC}{VERIFY}?") for found in links)
        return [parse_qs(urlsplit(found[0]).query)["token"][0] for found in links]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    def log_in(server: Any, session: Any, envelope: Any, mechanism: Any, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"jan@example.org", b"of the mail server"))

    box = Mailbox(port=free_port())
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        auth_required=True,
        auth_require_tls=False,
        authenticator=log_in,
    )
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
async def llm_api_with_mail(
    mailbox: Mailbox, context: Callable[[Settings], ServiceContext], issuer_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    tree = plain(settings_for(issuer_url))
    tree["infrastructure"]["gateway"]["public_url"] = PUBLIC
    tree["identity"]["smtp"] = {
        "host": "127.0.0.1",
        "port": mailbox.port,
        "security": "none",
        "user": "jan@example.org",
        "password": "of the mail server",
    }
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running(context(Settings.model_validate(tree))))


@dataclass(frozen=True)
class Upgraded:
    """A guest who upgraded, and what it was told."""

    id: str
    email: str
    headers: dict[str, str]
    refresh_token: str
    told: dict[str, Any]


async def upgraded(llm_api: httpx.AsyncClient) -> Upgraded:
    guest = (await llm_api.post("/auth/guest-login")).json()
    headers = bearer(guest["access_token"])
    email = f"{uuid.uuid4().hex[:12]}@example.org"
    answer = await llm_api.post(UPGRADE, json={"email": email}, headers=headers)
    assert answer.status_code == 200, answer.text
    return Upgraded(guest["user_id"], email, headers, guest["refresh_token"], answer.json())


async def is_verified(accounts: Accounts, someone: Upgraded) -> bool:
    account = await accounts.find(someone.id)
    assert account is not None
    return account.representation.get("emailVerified") is True


async def test_the_link_proves_the_address_once(
    llm_api_with_mail: httpx.AsyncClient, mailbox: Mailbox, accounts: Accounts
) -> None:
    someone = await upgraded(llm_api_with_mail)
    assert someone.told == {"status": "upgraded", "email_verification": "sent"}
    [message] = mailbox.messages
    assert (message["To"], message["Subject"]) == (someone.email, "Confirm your e-mail address")
    assert message["From"] == "Jan <jan@example.org>" and message["Auto-Submitted"] == "auto-generated"
    assert "24 hours" in message.get_content()
    assert not await is_verified(accounts, someone)

    [token] = mailbox.tokens()
    page = await llm_api_with_mail.get(VERIFY, params={"token": token})
    assert page.status_code == 200 and f'value="{token}"' in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not await is_verified(accounts, someone), "whoever looks through mail opens links"

    answer = await llm_api_with_mail.post(VERIFY, data={"token": token})
    assert answer.status_code == 200 and f"{someone.email} is confirmed" in answer.text
    assert await is_verified(accounts, someone)
    tokens = await llm_api_with_mail.post(
        "/auth/refresh-token", json={"refresh_token": someone.refresh_token}
    )
    claims = jwt.decode(tokens.json()["access_token"], options={"verify_signature": False})
    assert claims["email_verified"] is True and claims["guest"] == "false"

    again = await llm_api_with_mail.post(VERIFY, json={"token": token})
    assert (again.status_code, again.json()["code"]) == (400, "invalid_link")
    again = await llm_api_with_mail.post(VERIFY, data={"token": token})
    assert again.status_code == 400 and "was used" in again.text
    repeated = await llm_api_with_mail.post(UPGRADE, json={"email": someone.email}, headers=someone.headers)
    assert repeated.json() == {"status": "upgraded"}, "a proved address is not asked for again"
    assert await is_verified(accounts, someone)


async def test_programs_may_prove_it_with_json(
    llm_api_with_mail: httpx.AsyncClient, mailbox: Mailbox, accounts: Accounts
) -> None:
    someone = await upgraded(llm_api_with_mail)
    answer = await llm_api_with_mail.post(f"/llm{VERIFY}", json={"token": mailbox.tokens()[0]})
    assert answer.json() == {"status": "verified", "email": someone.email}
    assert await is_verified(accounts, someone)


@pytest.mark.parametrize("token", ["", "invented", "'><script>", "x" * 300])
async def test_an_invented_token_proves_nothing(llm_api_with_mail: httpx.AsyncClient, token: str) -> None:
    for body in ({"json": {"token": token}}, {"data": {"token": token}}):
        assert (await llm_api_with_mail.post(VERIFY, **body)).status_code == 400
    page = await llm_api_with_mail.get(VERIFY, params={"token": token})
    assert "<script" not in page.text


async def test_a_link_ends(
    llm_api_with_mail: httpx.AsyncClient, mailbox: Mailbox, accounts: Accounts, database_url: str
) -> None:
    someone = await upgraded(llm_api_with_mail)
    await run_sql(
        database_url, "update llm_api.email_proofs set expires_at = now() where subject = %s", (someone.id,)
    )
    answer = await llm_api_with_mail.post(VERIFY, json={"token": mailbox.tokens()[0]})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_link")
    assert not await is_verified(accounts, someone)


async def test_a_link_is_of_no_use_for_another_address(
    llm_api_with_mail: httpx.AsyncClient, mailbox: Mailbox, accounts: Accounts
) -> None:
    someone = await upgraded(llm_api_with_mail)
    account = await accounts.find(someone.id)
    assert account is not None
    await accounts.update(account, {"email": f"other-{someone.email}"})
    answer = await llm_api_with_mail.post(VERIFY, json={"token": mailbox.tokens()[0]})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_link")
    assert not await is_verified(accounts, someone)


async def test_another_mail_comes_on_request_but_not_at_any_rate(
    llm_api_with_mail: httpx.AsyncClient,
    mailbox: Mailbox,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    someone = await upgraded(llm_api_with_mail)

    async def again() -> str:
        answer = await llm_api_with_mail.post(UPGRADE, json={"email": someone.email}, headers=someone.headers)
        return str(answer.json()["email_verification"])

    assert await again() == "pending" and len(mailbox.messages) == 1
    monkeypatch.setattr(email_proofs, "PAUSE", email_proofs.PAUSE * 0)
    told = [await again() for _ in range(email_proofs.MOST_LINKS + 1)]
    assert told == ["sent"] * (email_proofs.MOST_LINKS - 1) + ["pending"] * 2
    first, *_, last = mailbox.tokens()
    assert (await llm_api_with_mail.post(VERIFY, json={"token": last})).status_code == 200
    assert (await llm_api_with_mail.post(VERIFY, json={"token": first})).status_code == 400


async def test_a_mail_that_cannot_be_sent_is_told_and_the_upgrade_stands(
    llm_api_with_mail: httpx.AsyncClient, mailbox: Mailbox, accounts: Accounts, database_url: str
) -> None:
    mailbox.refuses = True
    someone = await upgraded(llm_api_with_mail)
    assert someone.told == {"status": "upgraded", "email_verification": "failed"}
    assert not await is_verified(accounts, someone)
    mailbox.refuses = False
    answer = await llm_api_with_mail.post(UPGRADE, json={"email": someone.email}, headers=someone.headers)
    assert answer.json()["email_verification"] == "sent", "at once: the one that failed does not count"


async def test_a_mail_server_that_is_not_there_is_no_error() -> None:
    mailer = Mailer("127.0.0.1", free_port(), "none", "jan@example.org")
    assert await asyncio.wait_for(mailer.send("ann@example.org", "Hello", "Hello."), 5) is False


def test_mail_without_a_sender_is_a_setting_to_mend() -> None:
    with pytest.raises(ValueError, match="JAN_SMTP_FROM"):
        mailer_of(Settings.model_validate({"identity": {"smtp": {"host": "mail.example.org"}}}))
