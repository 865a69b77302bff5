"""Pictures: made from words, or made anew from other pictures.

Source: contract/llm-api.md, section 8; OpenAI API reference, "Images".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlmodel import col, select

from jan_server.database.engine import Database
from jan_server.http.errors import ApiError
from jan_server.http.multipart import PartHead, write_form
from jan_server.inference.provider import Provider
from jan_server.services.llm_api.chat_stream import no_completion
from jan_server.services.llm_api.conversations import find_conversation
from jan_server.services.llm_api.image_files import ImageReader
from jan_server.services.llm_api.image_log import store_pictures
from jan_server.services.llm_api.image_providers import ImageModel, choose_image_model
from jan_server.services.llm_api.image_requests import EDIT, ImageRequest
from jan_server.services.llm_api.image_results import Wanted, estimated_usage, read_result, shaped
from jan_server.services.llm_api.media_client import MediaCaller, MediaClient
from jan_server.services.llm_api.model_registry import ModelRegistry
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.refusals import Invalid, Missing
from jan_server.services.llm_api.routed_call import JSON, CallOrigin, ModelCalls, RoutedCall
from jan_server.services.llm_api.tables.provider import Provider as ProviderRow
from jan_server.settings.tree.services.llm_api import ImageOptions

GENERATIONS = "/images/generations"
EDITS = "/images/edits"

_DEFAULT_EDIT_SIZE = "original"
_VERSION = "/v1"


@dataclass(frozen=True, slots=True)
class ImageCall:
    """One request, ready to be sent.

    Attributes:
        request: As it was checked.
        call: What is asked of the provider.
        model_id: The public id of the model.
        wanted: How the pictures are handed over; None as the provider does.
        caller: Who asks.
        user_id: The key of the caller's row.
    """

    request: ImageRequest
    call: RoutedCall
    model_id: str
    wanted: Wanted | None
    caller: MediaCaller
    user_id: int


class Images:
    """Answers requests for pictures.

    Args:
        database: Where providers and conversations are.
        registry: Knows models and providers.
        calls: Calls providers.
        media: Stores results.
        reader: Reads the pictures that requests bring.
        options: What the settings say.
    """

    def __init__(
        self,
        database: Database,
        registry: ModelRegistry,
        calls: ModelCalls,
        media: MediaClient,
        reader: ImageReader,
        options: ImageOptions,
    ) -> None:
        self._database = database
        self._registry = registry
        self._calls = calls
        self._media = media
        self._reader = reader
        self._options = options

    def asks_route(self, request: ImageRequest) -> bool:
        """Whether a request names a route, which then chooses the model."""
        model = self._registry.table.find(request.model) if request.model else None
        return not request.provider_id and model is not None and model.route is not None

    def check_enabled(self) -> None:
        """Refuse everything while pictures are switched off.

        Raises:
            ApiError: 501.
        """
        if not self._options.enabled:
            raise ApiError(501, "image generation is not enabled", code="image-generation-disabled")

    async def prepare(
        self,
        request: ImageRequest,
        origin: CallOrigin,
        caller: MediaCaller,
        model: OfferedModel | None = None,
    ) -> ImageCall:
        """Find provider and conversation, read the pictures and make what the provider gets.

        Args:
            request: The checked request.
            origin: Who makes it.
            caller: On whose behalf pictures are read and stored.
            model: The model that a route chose, if one did.

        Raises:
            Invalid: A picture cannot be read, or the provider makes none.
            Missing: There is no such provider, conversation or medium.
            ApiError: 503 when provider or Media API cannot be used.
        """
        if request.conversation_id:
            async with self._database.session() as session:
                await find_conversation(session, origin.user_id, request.conversation_id)
        chosen = choose_image_model(
            self._registry, request, self._options.default_model, origin.principal, model
        )
        if chosen is None:
            raise await self._unusable(request)
        wanted = self._wanted(request, chosen)
        body = self._body(request, chosen, wanted)
        provider, path = self._address(request, chosen)
        if request.kind == EDIT:
            content, content_type = await self._form(request, body, caller)
        else:
            content, content_type = orjson.dumps(body), JSON
        call = self._calls.call(
            replace(chosen.model, provider=provider),
            path,
            content,
            origin,
            stream=request.stream,
            content_type=content_type,
            estimate=lambda: int(estimated_usage(request.prompt, 0)["input_tokens"]),
        )
        return ImageCall(request, call, chosen.model.id, wanted, caller, origin.user_id)

    async def answer(self, prepared: ImageCall) -> bytes:
        """The pictures, as JSON.

        Raises:
            UpstreamError: The provider made none.
        """
        call, request = prepared.call, prepared.request
        body = await self._calls.whole(call, member=b"data")
        document = read_result(body)
        if document is None:
            raise no_completion(call.provider, body, expected="a picture")
        result = await shaped(document, prepared.wanted, request.prompt, self._media, prepared.caller)
        if request.conversation_id:
            await store_pictures(
                self._database, self._media, request, result["data"], prepared.user_id, prepared.caller
            )
        return orjson.dumps(result)

    def _wanted(self, request: ImageRequest, chosen: ImageModel) -> Wanted | None:
        given = request.response_format
        if given is None and chosen.own:
            given = "b64_json" if request.kind == EDIT else self._options.default_response_format
        return "url" if given == "url" else "b64_json" if given == "b64_json" else None

    def _body(self, request: ImageRequest, chosen: ImageModel, wanted: Wanted | None) -> dict[str, Any]:
        """What the provider gets; servers of pictures get Jan's defaults, others know their own."""
        body = {**request.body, "model": chosen.model.provider_model_id}
        if body.get("n") is not None:
            body["n"] = min(body["n"], self._options.max_n)
        if chosen.own:
            options = self._options
            defaults: dict[str, Any] = {"n": 1, "response_format": wanted}
            if request.kind == EDIT:
                defaults["size"] = _DEFAULT_EDIT_SIZE
            else:
                defaults["size"] = options.default_size
                defaults["quality"] = options.default_quality
                defaults["style"] = options.default_style
            for name, value in defaults.items():
                if body.get(name) is None:
                    body[name] = value
        return body

    def _address(self, request: ImageRequest, chosen: ImageModel) -> tuple[Provider, str]:
        seconds = self._options.timeout.total_seconds()
        provider = chosen.model.provider
        provider = replace(provider, timeouts=replace(provider.timeouts, answer=seconds))
        if request.kind != EDIT:
            return provider, GENERATIONS
        # An edit is not made twice: the first one may be under way.
        provider = replace(provider, attempts=1)
        if not chosen.edit_path:
            return provider, EDITS
        endpoints = tuple(
            replace(endpoint, url=endpoint.url.removesuffix(_VERSION)) for endpoint in provider.endpoints
        )
        return replace(provider, endpoints=endpoints), f"/{chosen.edit_path.lstrip('/')}"

    async def _form(
        self, request: ImageRequest, body: dict[str, Any], caller: MediaCaller
    ) -> tuple[bytes, str]:
        parts = [
            (PartHead(name), text.encode())
            for member, value in body.items()
            for name, text in _fields(member, value)
        ]
        for name, source in request.images:
            image = await self._reader.read(source, caller, code=request.code("validation-error"))
            parts.append((PartHead(name, image.name, image.content_type), image.content))
        return write_form(parts)

    async def _unusable(self, request: ImageRequest) -> Exception:
        query = select(ProviderRow.id).where(
            ProviderRow.public_id == request.provider_id, col(ProviderRow.deleted_at).is_(None)
        )
        async with self._database.session() as session:
            known = (await session.exec(query)).first() is not None
        if known:
            return Invalid(
                f"provider {request.provider_id} is not in use",
                param="provider_id",
                code=request.code("validation-error"),
            )
        return Missing(
            f"there is no provider {request.provider_id}",
            param="provider_id",
            code=request.code("provider-not-found"),
        )


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A member as the fields of a form, in the way of OpenAI's clients."""
    if isinstance(value, dict):
        for inner, entry in value.items():
            yield from _fields(f"{name}[{inner}]", entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _fields(name if name.endswith("[]") else f"{name}[]", entry)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif value is not None:
        yield name, str(value)
