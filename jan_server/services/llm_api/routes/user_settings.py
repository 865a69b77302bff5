"""The routes of user settings.

Source: contract/llm-api.md, section 16.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from starlette.requests import Request

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse, read_json_object
from jan_server.http.typed_body import body_of, documented, parsed
from jan_server.services.llm_api.resources import Open, Resources
from jan_server.services.llm_api.routes.caller import CallerUser
from jan_server.services.llm_api.schemas.error import errors
from jan_server.services.llm_api.schemas.user_settings import (
    PreferencesChanges,
    PreferencesObject,
    UserSettingsChanges,
    UserSettingsObject,
    settings_changes,
    settings_members,
)
from jan_server.services.llm_api.user_settings import (
    SettingsChanges,
    UserSettings,
    filled_preferences,
    read_settings,
    update_settings,
)
from jan_server.services.llm_api.users import CurrentUser

router = APIRouter(prefix="/v1/users/me/settings", tags=["user settings"], responses=errors(401))


@router.get("", summary="Read the caller's settings", response_model=UserSettingsObject)
async def read(opened: Open, caller: CallerUser) -> Response:
    """Complete, with defaults for what the caller never chose."""
    async with opened.database.session() as session:
        settings = await read_settings(session, caller.id)
    return _answer(opened, caller, settings)


@router.patch(
    "",
    summary="Change the caller's settings",
    response_model=UserSettingsObject,
    openapi_extra=documented(UserSettingsChanges),
    responses=errors(400),
)
async def change(
    opened: Open,
    caller: CallerUser,
    body: Annotated[UserSettingsChanges, Depends(body_of(UserSettingsChanges))],
) -> Response:
    """What is left out stays as it is, inside the sections too."""
    async with opened.database.session() as session:
        settings = await update_settings(session, caller.id, settings_changes(body))
    if opened.serving.prompts is not None:
        opened.serving.prompts.profiles.forget(caller.id)
    return _answer(opened, caller, settings)


@router.get("/preferences", summary="Read the caller's preferences", response_model=PreferencesObject)
async def read_preferences(opened: Open, caller: CallerUser) -> Response:
    """The preferences alone."""
    async with opened.database.session() as session:
        settings = await read_settings(session, caller.id)
    return _preferences_answer(opened, caller, settings)


@router.patch(
    "/preferences",
    summary="Change the caller's preferences",
    response_model=PreferencesObject,
    openapi_extra=documented(PreferencesChanges),
    responses=errors(400),
)
async def change_preferences(request: Request, opened: Open, caller: CallerUser) -> Response:
    """What is left out stays as it is."""
    given = await read_json_object(request)
    if given.get("preferences") is None:
        raise invalid_request("preferences field is required", param="preferences")
    body = parsed(PreferencesChanges, given)
    async with opened.database.session() as session:
        settings = await update_settings(session, caller.id, SettingsChanges(preferences=body.preferences))
    return _preferences_answer(opened, caller, settings)


def _answer(opened: Resources, caller: CurrentUser, settings: UserSettings) -> Response:
    images = opened.settings.services.llm_api.images
    makes_images = images.enabled and any(
        active.row.default_provider_image_generate for active in opened.serving.registry.providers
    )
    first_model = opened.serving.registry.table.seen_by(caller.principal).first_id
    return OrjsonResponse(settings_members(settings, first_model=first_model, makes_images=makes_images))


def _preferences_answer(opened: Resources, caller: CurrentUser, settings: UserSettings) -> Response:
    first_model = opened.serving.registry.table.seen_by(caller.principal).first_id
    return OrjsonResponse({"preferences": filled_preferences(settings, first_model)})
