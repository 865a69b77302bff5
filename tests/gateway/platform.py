"""The gateway with the file that ships, in front of an llm-api that only validates keys and echoes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from jan_server.gateway.app import create_app
from jan_server.http.context import ServiceContext
from jan_server.settings.tree import Settings
from tests.gateway.conftest import SECRET, Running
from tests.gateway.realm import Realm
from tests.gateway.serving import EchoService, answer, lifespan, read_body, serving

GOOD_KEY = "sk_live_" + "0" * 47 + "1"
OTHER_KEY = "sk_live_" + "0" * 47 + "2"


class LlmApi(EchoService):
    """Knows some keys, and answers everything else with what it was asked.

    Attributes:
        keys: The owner of each good key, as the real validator tells it.
        validated: How many keys were asked about.
        failing: Answers the next validations with this status and body.
    """

    def __init__(self) -> None:
        super().__init__("llm-api")
        self.reset()

    def reset(self) -> None:
        """Forgets what was asked and knows the usual keys again."""
        self.asked = 0
        self.last = {}
        self.keys: dict[str, dict[str, Any]] = {
            GOOD_KEY: owner("user-1", "ada"),
            OTHER_KEY: owner("user-2", "böb\r\nX-Injected: 1"),
        }
        self.validated = 0
        self.failing: tuple[int, bytes] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] == "http" and scope["path"] == "/auth/validate-api-key":
            self.validated += 1
            if self.failing is not None:
                await answer(send, self.failing[1], status=self.failing[0])
                return
            key = orjson.loads(await read_body(receive)).get("api_key")
            found = self.keys.get(key)
            if found is None:
                await answer(send, b'{"message":"invalid api key"}', status=401)
            else:
                await answer(send, orjson.dumps(found))
            return
        await super().__call__(scope, receive, send)


def owner(subject: str, username: str) -> dict[str, Any]:
    return {
        "user_id": "7",
        "subject": subject,
        "username": username,
        "email": f"{subject}@example.org",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "roles": ["user", "admin"],
        "groups": ["/standard"],
        "feature_flags": ["experimental_models"],
        "guest": False,
        "key_id": f"key-of-{subject}",
    }


def settings_for(realm: Realm, jwks_url: str, **gateway: Any) -> Settings:
    return Settings.model_validate(
        {
            "identity": {"signing_key": realm.private_line, "header_secret": SECRET},
            "infrastructure": {
                "auth": {"keycloak": {"jwks_url": jwks_url, "issuer": realm.issuer}},
                "gateway": gateway,
            },
        }
    )


@asynccontextmanager
async def platform(
    realm: Realm, client: aiohttp.ClientSession, apps: dict[str, Any], **gateway: Any
) -> AsyncIterator[Running]:
    """The shipped gateway on a port, with the realm's keys published at another."""
    async with serving(realm) as keys:
        settings = settings_for(realm, f"http://127.0.0.1:{keys}/certs", **gateway)
        context = ServiceContext(settings=settings, home=Path(), database_url="", client=client)
        app = create_app(context, apps)
        async with serving(app) as port:
            yield Running(port, app, client)
