"""The routes of API keys: made, listed and revoked by their owners, checked for the gateway.

Source: contract/llm-api.md, sections 6.8 and 6.11.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.errors import invalid_request, not_found, unauthorized
from jan_server.http.json_body import OrjsonResponse, read_json_object
from jan_server.services.llm_api.api_keys import KeyRules, create_key, list_keys, revoke_key, status
from jan_server.services.llm_api.key_check import KeyOwner
from jan_server.services.llm_api.metrics import AUTH_REQUESTS
from jan_server.services.llm_api.resources import Open, resources
from jan_server.services.llm_api.routes.auth import no_store
from jan_server.services.llm_api.routes.body import body_of, documented
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.schemas.api_keys import (
    ApiKeyInfo,
    ApiKeyList,
    CreatedApiKey,
    KeyOwnerInfo,
    NewApiKey,
    PresentedKey,
)
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.api_key import ApiKey

router = APIRouter(prefix="/auth", tags=["api keys"], dependencies=[Depends(no_store)])


@router.post(
    "/api-keys",
    status_code=201,
    summary="Make an API key",
    openapi_extra=documented(NewApiKey),
    response_model_exclude_none=True,
)
async def create(
    opened: Open, caller: CallerUser, body: Annotated[NewApiKey, Depends(body_of(NewApiKey))]
) -> CreatedApiKey:
    """The answer holds the secret in `key`; nobody can show it again."""
    policy = opened.settings.services.llm_api.api_key
    rules = KeyRules(
        prefix=policy.prefix,
        default_life=policy.default_ttl,
        longest_life=policy.max_ttl,
        per_user=policy.max_per_user,
    )
    async with opened.database.session() as session:
        key, secret = await create_key(session, caller.id, name=body.name, life=body.life, rules=rules)
    return CreatedApiKey(**key_members(key), key=secret)


@router.get("/api-keys", summary="List the caller's API keys", response_model_exclude_none=True)
async def listed(opened: Open, caller: CallerUser) -> ApiKeyList:
    """The newest first, revoked and expired ones included."""
    async with opened.database.session() as session:
        keys = await list_keys(session, caller.id)
    return ApiKeyList(items=[ApiKeyInfo(**key_members(key)) for key in keys])


@router.delete("/api-keys/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke(opened: Open, caller: CallerUser, key_id: str) -> Response:
    """The key is refused from the next request on; revoking it again changes nothing."""
    if key_id == "null":
        raise invalid_request("the id of the key is missing", param="id")
    try:
        key = UUID(key_id)
    except ValueError as failure:
        raise not_found("api key not found") from failure
    async with opened.database.session() as session:
        found = await revoke_key(session, caller.id, key)
    if not found:
        raise not_found("api key not found")
    return Response(status_code=204)


async def validate_api_key(request: Request) -> Response:
    """Check a key that somebody presented to the gateway, and tell whose it is.

    401 for a key that is unknown, revoked, expired, or whose owner is gone or disabled; 503
    while nobody can tell, because the identity server does not answer.
    """
    value = (await read_json_object(request)).get("api_key")
    if not isinstance(value, str) or not value:
        raise invalid_request("invalid request payload: api_key is required", param="api_key")
    owner = await resources(request).key_check.owner(value)
    if owner is None:
        AUTH_REQUESTS.labels("apikey", "refused").inc()
        raise unauthorized("invalid api key", code="invalid_api_key")
    AUTH_REQUESTS.labels("apikey", "ok").inc()
    return OrjsonResponse(owner_members(owner), headers={"Cache-Control": "no-store"})


VALIDATION_DOCUMENT: dict[str, Any] = {
    "summary": "Check an API key (for the gateway)",
    "tags": ["api keys"],
    "openapi_extra": documented(PresentedKey),
    "responses": {200: {"model": KeyOwnerInfo}},
}


def key_members(key: ApiKey) -> dict[str, Any]:
    """A key's row as it travels."""
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "suffix": key.suffix,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "status": status(key, now()),
    }


def owner_members(owner: KeyOwner) -> dict[str, Any]:
    """A key's owner as it travels (`KeyOwnerInfo`), without a model on this hot path."""
    account, rights = owner.account, owner.rights
    return {
        "user_id": str(owner.user_id),
        "subject": account.id,
        "username": account.username,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "roles": rights.roles,
        "groups": rights.groups,
        "feature_flags": rights.feature_flags,
        "guest": account.guest,
        "issuer": owner.issuer,
        "key_id": str(owner.key_id),
    }
