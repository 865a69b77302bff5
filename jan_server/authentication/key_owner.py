"""Whose an API key is: asked of the LLM API, which keeps the keys (contract/gateway.md, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from jan_server.authentication.principal import Principal
from jan_server.http.errors import ApiError

REFUSED_STATUSES = frozenset({400, 401, 403, 404, 422})
"""What the LLM API answers for a key that is not good; anything else is its own failure."""

VALIDATION_SECONDS = 5.0


class KeyOwners:
    """Finds the owners of API keys for a service that keeps none itself.

    Nothing is remembered, so a revoked key is refused from the next request on.

    Args:
        client: The process's outgoing client.
        llm_api_url: Where the LLM API is.
        issuer: The issuer of owners whose own is not told.
    """

    def __init__(self, client: aiohttp.ClientSession, llm_api_url: str, issuer: str) -> None:
        self._client = client
        self._url = f"{llm_api_url.rstrip('/')}/auth/validate-api-key"
        self._issuer = issuer

    async def principal(self, key: str) -> Principal | None:
        """The owner of a key, or None for one that is not good.

        Raises:
            ApiError: 503 while keys cannot be checked, 502 for an answer that makes no sense.
        """
        body = orjson.dumps({"api_key": key})
        timeout = aiohttp.ClientTimeout(total=VALIDATION_SECONDS)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.post(self._url, data=body, headers=headers, timeout=timeout) as response:
                status, answer = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as failure:
            raise _away() from failure
        if status in REFUSED_STATUSES:
            return None
        if status != 200:
            raise _away()
        try:
            return principal_of_owner(orjson.loads(answer), self._issuer)
        except (ValueError, TypeError) as failure:
            raise ApiError(502, "Invalid validation response", code="upstream_error") from failure


def principal_of_owner(owner: Any, issuer: str) -> Principal:
    """The validator's reply as a principal.

    Raises:
        ValueError: The reply names no subject.
    """
    if not isinstance(owner, Mapping) or not owner.get("subject"):
        raise ValueError("the validator's reply names no subject")
    names = (str(owner.get(name) or "") for name in ("first_name", "last_name"))
    return Principal(
        subject=str(owner["subject"]),
        issuer=str(owner.get("issuer") or issuer),
        method="apikey",
        username=str(owner.get("username") or ""),
        email=str(owner.get("email") or ""),
        name=str(owner.get("name") or " ".join(name for name in names if name)),
        roles=_texts(owner.get("roles")),
        groups=_texts(owner.get("groups")),
        feature_flags=_texts(owner.get("feature_flags")),
        scopes=_texts(owner.get("scopes")),
        guest=owner.get("guest") is True,
        user_id=str(owner.get("user_id") or ""),
        key_id=str(owner.get("key_id") or ""),
    )


def _away() -> ApiError:
    return ApiError(503, "API key validation service unavailable", code="unavailable")


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()
