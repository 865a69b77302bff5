"""The routes with which administrators keep everybody's API keys, and the limits of keys and users."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.errors import invalid_request
from jan_server.http.typed_body import body_of, documented
from jan_server.services.llm_api.api_keys import all_keys, create_key, find_key, find_owner, revoke_key
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.api_keys import (
    change_key,
    change_limits,
    key_id_of,
    key_members,
    key_rules,
    refuse_limited_key,
)
from jan_server.services.llm_api.routes.auth import no_store
from jan_server.services.llm_api.routes.caller import CallerAdmin
from jan_server.services.llm_api.routes.listing import number_filter, query_parameter, text_filter
from jan_server.services.llm_api.schemas.api_keys import (
    ApiKeyChanges,
    CreatedOwnedApiKey,
    LimitsGiven,
    NewOwnedApiKey,
    OwnedApiKeyInfo,
    OwnedApiKeyList,
    UserLimitsInfo,
    limits_members,
)
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.tables.api_key import ApiKey
from jan_server.services.llm_api.tables.user import User
from jan_server.services.llm_api.usage_limits import (
    NO_LIMITS,
    UsageLimits,
    find_limits,
    key_subject,
    lock_limits,
    store_limits,
    user_subject,
)

router = APIRouter(
    prefix="/v1/admin",
    tags=["key administration"],
    responses=errors(400, 401, 403, 429),
    dependencies=[Depends(no_store)],
)

USUAL_KEYS = 50
MOST_KEYS = 500
_NUMBER = {"type": "integer", "minimum": 0}


@router.get(
    "/api-keys",
    summary="List everybody's API keys",
    response_model_exclude_none=True,
    openapi_extra={
        "parameters": [
            query_parameter("owner", "Only of this user: local number, username or e-mail address."),
            query_parameter("limit", f"At most {MOST_KEYS}.", {**_NUMBER, "default": USUAL_KEYS}),
            query_parameter("offset", "How many to skip.", {**_NUMBER, "default": 0}),
        ]
    },
    responses=errors(404),
)
async def listed(request: Request, opened: Open, admin: CallerAdmin) -> OwnedApiKeyList:
    """The newest first, revoked and expired ones included."""
    owner = text_filter(request, "owner")
    limit = min(number_filter(request, "limit", USUAL_KEYS), MOST_KEYS)
    offset = number_filter(request, "offset", 0)
    async with opened.database.session() as session:
        user_id = (await find_owner(session, owner)).id if owner else None
        keys, total = await all_keys(session, user_id=user_id, limit=limit, offset=offset)
        limits = await find_limits(session, [key_subject(key.id) for key, _ in keys])
    items = [owned_members(key, user, limits.get(key_subject(key.id), NO_LIMITS)) for key, user in keys]
    return OwnedApiKeyList(items=[OwnedApiKeyInfo(**item) for item in items], total=total)


@router.post(
    "/api-keys",
    status_code=201,
    summary="Make an API key for somebody",
    openapi_extra=documented(NewOwnedApiKey),
    response_model_exclude_none=True,
    responses=errors(404),
)
async def create(
    opened: Open,
    admin: CallerAdmin,
    body: Annotated[NewOwnedApiKey, Depends(body_of(NewOwnedApiKey))],
) -> CreatedOwnedApiKey:
    """Its limits can be changed by administrators only. The owner has to have used the LLM API before."""
    refuse_limited_key(opened, admin)
    own = str((await opened.users.resolve(admin)).id)
    async with opened.database.session() as session:
        user = await find_owner(session, body.owner or own)
        assert user.id is not None
        key, secret = await create_key(
            session, user.id, name=body.name, life=body.life, rules=key_rules(opened)
        )
        limits = await change_limits(session, key, body, managed=True)
    await opened.serving.limits.adopt(key_subject(key.id), limits)
    return CreatedOwnedApiKey(**owned_members(key, user, limits), key=secret)


@router.patch(
    "/api-keys/{key_id}",
    summary="Rename anybody's API key, or change its limits or its end",
    openapi_extra=documented(ApiKeyChanges),
    response_model_exclude_none=True,
    responses=errors(404, 409),
)
async def change(
    opened: Open,
    admin: CallerAdmin,
    key_id: str,
    body: Annotated[ApiKeyChanges, Depends(body_of(ApiKeyChanges))],
) -> OwnedApiKeyInfo:
    """What is left out stays, null takes a limit away. The owner can no longer change the limits then."""
    refuse_limited_key(opened, admin)
    async with opened.database.session() as session:
        key = await find_key(session, key_id_of(key_id))
        user = await find_owner(session, str(key.user_id))
        limits = await change_key(session, key, body, rules=key_rules(opened), managed=True)
    await opened.serving.limits.adopt(key_subject(key.id), limits)
    return OwnedApiKeyInfo(**owned_members(key, user, limits))


@router.delete(
    "/api-keys/{key_id}", status_code=204, summary="Revoke anybody's API key", responses=errors(404)
)
async def revoke(opened: Open, admin: CallerAdmin, key_id: str) -> Response:
    """The key is refused from the next request on; revoking it again changes nothing."""
    async with opened.database.session() as session:
        key = await find_key(session, key_id_of(key_id))
        await revoke_key(session, key.user_id, key.id)
    return Response(status_code=204)


@router.get(
    "/user-limits/{user}",
    summary="Read the limits of a user",
    response_model_exclude_none=True,
    responses=errors(404),
)
async def user_limits(opened: Open, admin: CallerAdmin, user: str) -> UserLimitsInfo:
    """`user` is a local number, a username or an e-mail address."""
    async with opened.database.session() as session:
        found = await find_owner(session, _named(user))
        subject = user_subject(found.id or 0)
        limits = (await find_limits(session, [subject])).get(subject, NO_LIMITS)
    return UserLimitsInfo(user_id=found.id or 0, **limits_members(limits))


@router.patch(
    "/user-limits/{user}",
    summary="Change the limits of a user",
    openapi_extra=documented(LimitsGiven),
    response_model_exclude_none=True,
    responses=errors(404),
)
async def limit_user(
    opened: Open,
    admin: CallerAdmin,
    user: str,
    body: Annotated[LimitsGiven, Depends(body_of(LimitsGiven))],
) -> UserLimitsInfo:
    """They hold for all tokens and keys of the user together; what is left out stays, null takes one away."""
    refuse_limited_key(opened, admin)
    for name, words in (
        ("project_id", "count for a project"),
        ("cache", "say whether answers are used again"),
    ):
        if name in body.model_fields_set:
            raise invalid_request(f"only keys {words}", param=name)
    async with opened.database.session() as session:
        found = await find_owner(session, _named(user))
        subject = user_subject(found.id or 0)
        limits = body.applied(await lock_limits(session, subject), managed=False)
        await store_limits(session, subject, limits)
    await opened.serving.limits.adopt(subject, limits)
    return UserLimitsInfo(user_id=found.id or 0, **limits_members(limits))


def _named(user: str) -> str:
    if "\0" in user:
        raise invalid_request("user must not hold NUL characters", param="user")
    return user


def owned_members(key: ApiKey, user: User, limits: UsageLimits) -> dict[str, Any]:
    """A key with its owner as it travels."""
    return key_members(key, limits) | {"user_id": user.id, "username": user.username, "email": user.email}
