"""Who makes a picture: the provider that a request names, that of its model, or the usual one.

Source: contract/llm-api.md, sections 8.1 and 8.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jan_server.authentication.principal import Principal
from jan_server.http.errors import unavailable
from jan_server.services.llm_api.image_requests import EDIT, ImageRequest
from jan_server.services.llm_api.model_registry import ActiveProvider, ModelRegistry
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.sync import unknown_model

IMAGE = "image"
"""The category of providers of pictures."""

EDIT_PATH = "image_edit_path"
"""The member of a provider's metadata that says where it edits, counted from its host."""


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A model of pictures, as one provider has it.

    Attributes:
        model: What is called.
        own: Whether its provider makes nothing but pictures; Jan's defaults are made for those.
        edit_path: Where it edits, counted from its host; empty for OpenAI's path.
    """

    model: OfferedModel
    own: bool
    edit_path: str = field(default="")


def choose_image_model(
    registry: ModelRegistry,
    request: ImageRequest,
    default_model: str,
    principal: Principal,
    chosen: OfferedModel | None = None,
) -> ImageModel | None:
    """The model that makes the picture; None when the request names a provider that is not in use.

    Args:
        registry: Knows models and providers.
        request: The checked request.
        default_model: What is asked for where the request names no model.
        principal: Who asks.
        chosen: The model that a route chose, if one did.

    Raises:
        Invalid: The provider makes no pictures, or several are the usual one.
        Missing: There is none, or the caller lacks a flag for the model.
        ApiError: 503 when the provider cannot be used.
    """
    seen = registry.table.seen_by(principal)
    if request.provider_id:
        active = next((one for one in registry.providers if one.row.public_id == request.provider_id), None)
        if active is None:
            return None
        if active.row.category != IMAGE:
            raise Invalid(
                f"provider {request.provider_id} makes no pictures",
                param="provider_id",
                code=request.code("validation-error"),
            )
        found = _of_provider(registry, active, request.model or default_model)
        if request.model and found.model.key and found.model.key not in seen.by_key:
            raise unknown_model(request.model)
        return found
    if request.model and (known := chosen or seen.find(request.model)) is not None:
        if known.problem:
            raise unavailable(known.problem)
        active = next((one for one in registry.providers if one.row.public_id == known.provider.id), None)
        path = active.row.details.get(EDIT_PATH, "") if active else ""
        return ImageModel(known, own=known.provider_category == IMAGE, edit_path=path)
    if request.model and registry.table.find(request.model) is not None:
        raise unknown_model(request.model)
    return _of_provider(registry, _usual(registry, request), request.model or default_model)


def _usual(registry: ModelRegistry, request: ImageRequest) -> ActiveProvider:
    def edits(one: ActiveProvider) -> bool:
        return one.row.default_provider_image_edit

    def makes(one: ActiveProvider) -> bool:
        return one.row.category == IMAGE and one.row.default_provider_image_generate

    wanted: Sequence[Callable[[ActiveProvider], bool]] = (makes,)
    if request.kind == EDIT:
        wanted = (lambda one: one.row.category == IMAGE and edits(one), edits, makes)
    for fits in wanted:
        found = [one for one in registry.providers if fits(one)]
        if len(found) > 1:
            names = ", ".join(one.row.display_name for one in found)
            raise Invalid(
                f"several providers are the usual one for pictures ({names}); name one as provider_id",
                param="provider_id",
                code=request.code("validation-error"),
            )
        if found:
            return found[0]
    raise Missing(
        "no provider of pictures is set up; name a model that GET /v1/models lists, or ask an administrator",
        param="provider_id",
        code=request.code("provider-not-found"),
    )


def _of_provider(registry: ModelRegistry, active: ActiveProvider, model_id: str) -> ImageModel:
    if active.problem:
        raise unavailable(active.problem)
    own = active.row.category == IMAGE
    path = active.row.details.get(EDIT_PATH, "")
    for model in registry.table.by_key.values():
        if model.provider.id == active.upstream.id and model_id in (model.id, model.provider_model_id):
            return ImageModel(model, own, path)
    # Servers of pictures seldom list their models: whatever is asked for reaches them.
    unlisted = OfferedModel(
        id=model_id,
        provider_model_id=model_id,
        key=0,
        provider=active.upstream,
        provider_category=active.row.category,
    )
    return ImageModel(unlisted, own, path)
