"""The routes of API keys: made, listed, limited and revoked by their owners, checked for the gateway.

Source: contract/llm-api.md, sections 6.8 and 6.11.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from jan_server.authentication.principal import Principal
from jan_server.http.errors import forbidden, invalid_request, not_found, unauthorized
from jan_server.http.json_body import OrjsonResponse, read_json_object
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.api_keys import (
    KeyRules,
    change_expiry,
    create_key,
    find_key,
    list_keys,
    revoke_key,
    status,
)
from jan_server.services.llm_api.key_check import KeyOwner
from jan_server.services.llm_api.metrics import AUTH_REQUESTS
from jan_server.services.llm_api.projects import find_project
from jan_server.services.llm_api.resources import Open, Resources, resources
from jan_server.services.llm_api.routes.auth import no_store
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.schemas.api_keys import (
    ApiKeyChanges,
    ApiKeyInfo,
    ApiKeyList,
    CreatedApiKey,
    KeyOwnerInfo,
    LimitsGiven,
    NewApiKey,
    PresentedKey,
    limits_members,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.usage_limits import (
    NO_LIMITS,
    UsageLimits,
    find_limits,
    key_subject,
    lock_limits,
    store_limits,
)

router = APIRouter(prefix="/auth", tags=["api keys"], dependencies=[Depends(no_store)])


@router.post(
    "/api-keys",
    status_code=201,
    summary="Make an API key",
    openapi_extra=documented(NewApiKey),
    response_model_exclude_none=True,
    responses=errors(403, 404),
)
async def create(
    opened: Open, caller: CallerUser, body: Annotated[NewApiKey, Depends(body_of(NewApiKey))]
) -> CreatedApiKey:
    """The answer holds the secret in `key`; nobody can show it again."""
    refuse_keys(caller.principal)
    async with opened.database.session() as session:
        key, secret = await create_key(
            session, caller.id, name=body.name, life=body.life, rules=key_rules(opened)
        )
        limits = await change_limits(session, key, body, managed=False)
    await opened.serving.limits.adopt(key_subject(key.id), limits)
    return CreatedApiKey(**key_members(key, limits), key=secret)


@router.get("/api-keys", summary="List the caller's API keys", response_model_exclude_none=True)
async def listed(opened: Open, caller: CallerUser) -> ApiKeyList:
    """The newest first, revoked and expired ones included."""
    async with opened.database.session() as session:
        keys = await list_keys(session, caller.id)
        limits = await find_limits(session, [key_subject(key.id) for key in keys])
    return ApiKeyList(
        items=[ApiKeyInfo(**key_members(key, limits.get(key_subject(key.id), NO_LIMITS))) for key in keys]
    )


@router.patch(
    "/api-keys/{key_id}",
    summary="Rename an API key, or change its limits or its end",
    openapi_extra=documented(ApiKeyChanges),
    response_model_exclude_none=True,
    responses=errors(400, 403, 404, 409),
)
async def change(
    opened: Open,
    caller: CallerUser,
    key_id: str,
    body: Annotated[ApiKeyChanges, Depends(body_of(ApiKeyChanges))],
) -> ApiKeyInfo:
    """What is left out stays, null takes a limit away. What an administrator limited stays as it is.

    A new end counts from now; a key that has expired works again. A revoked key stays revoked.
    """
    refuse_keys(caller.principal)
    async with opened.database.session() as session:
        key = await find_key(session, key_id_of(key_id), user_id=caller.id)
        limits = await change_key(session, key, body, rules=key_rules(opened), managed=False)
    await opened.serving.limits.adopt(key_subject(key.id), limits)
    return ApiKeyInfo(**key_members(key, limits))


@router.delete(
    "/api-keys/{key_id}", status_code=204, summary="Revoke an API key", responses=errors(400, 403, 404)
)
async def revoke(opened: Open, caller: CallerUser, key_id: str) -> Response:
    """The key is refused from the next request on; revoking it again changes nothing."""
    refuse_keys(caller.principal)
    async with opened.database.session() as session:
        found = await revoke_key(session, caller.id, key_id_of(key_id))
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
    "responses": {200: {"model": KeyOwnerInfo}, **errors(401)},
}


def key_id_of(text: str) -> UUID:
    """The id of a key in a path; ApiError 400 where it is missing, 404 where it cannot be one."""
    if text == "null":
        raise invalid_request("the id of the key is missing", param="id")
    try:
        return UUID(text)
    except ValueError as failure:
        raise not_found("api key not found") from failure


def key_rules(opened: Resources) -> KeyRules:
    """What holds for every key, as the settings say."""
    policy = opened.settings.services.llm_api.api_key
    return KeyRules(
        prefix=policy.prefix,
        default_life=policy.default_ttl,
        longest_life=policy.max_ttl,
        per_user=policy.max_per_user,
    )


def refuse_keys(principal: Principal) -> None:
    """ApiError 403 for a caller with an API key, whose keys would outlive its own revocation."""
    if principal.method == "apikey":
        raise forbidden("an API key cannot make, change or revoke keys; use an access token")


def refuse_limited_key(opened: Resources, principal: Principal) -> None:
    """ApiError 403 for a caller with a limited key, who could make a key without limits."""
    if principal.key_id and opened.serving.limits.limits(key_subject(principal.key_id)).restricts:
        raise forbidden("a key with limits cannot make or change keys; use a token")


async def change_key(
    session: AsyncSession, key: ApiKey, changes: ApiKeyChanges, *, rules: KeyRules, managed: bool
) -> UsageLimits:
    """Rename a key and change its limits and its end; returns the limits that it has then.

    Args:
        session: The transaction to work in.
        key: The key, locked.
        changes: What to change.
        rules: What holds for every key.
        managed: Whether an administrator makes the changes.

    Raises:
        ApiError: 403 when an administrator keeps the limits and somebody else changes them or the
            end, and when somebody else takes the end away.
        Conflict: The end of a revoked key is changed.
    """
    if changes.name is not None:
        key.name = changes.name
        session.add(key)
    limits = await change_limits(session, key, changes, managed=managed)
    if changes.changes_life:
        if limits.managed and not managed:
            raise forbidden("an administrator keeps the limits of this key, and when it ends")
        expires_at = changes.expires_at
        if expires_at is None and "expires_at" in changes.model_fields_set:
            if not managed:
                raise forbidden("only an administrator can let a key work without an end")
        elif expires_at is None:
            expires_at = now() + rules.life(changes.life)
        await change_expiry(session, key, expires_at, rules)
    return limits


async def change_limits(
    session: AsyncSession, key: ApiKey, changes: LimitsGiven, *, managed: bool
) -> UsageLimits:
    """Change the limits of a key; arguments and errors are those of `change_key`."""
    subject = key_subject(key.id)
    limits = await lock_limits(session, subject)
    if not changes.gives_limits:
        return limits
    if limits.managed and not managed:
        raise forbidden("an administrator keeps the limits of this key")
    if changes.project_id is not None:
        await find_project(session, key.user_id, changes.project_id)
    limits = changes.applied(limits, managed=managed)
    await store_limits(session, subject, limits)
    return limits


def key_members(key: ApiKey, limits: UsageLimits) -> dict[str, Any]:
    """A key's row and its limits as they travel."""
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
        "limits_managed": limits.managed or None,
        **limits_members(limits),
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
