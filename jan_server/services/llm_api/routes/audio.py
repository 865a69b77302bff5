"""`POST /v1/audio/transcriptions`, `/v1/audio/translations` and `/v1/audio/speech`.

Source: OpenAI API reference, "Audio".
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from jan_server.http.multipart import read_form
from jan_server.http.typed_body import documented
from jan_server.inference.answer_stream import AnswerStream
from jan_server.services.llm_api.audio import (
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    begin_speech,
    parse_speech_request,
)
from jan_server.services.llm_api.audio_upload import AudioUpload
from jan_server.services.llm_api.context_window import text_tokens
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.resources import resources
from jan_server.services.llm_api.routed_call import CallOrigin, RoutedCall
from jan_server.services.llm_api.routes.routed import (
    UPSTREAM_ERRORS,
    RoutedResponse,
    json_body,
    note,
    origin_of,
    send_answer,
)
from jan_server.services.llm_api.schemas.audio import (
    SpeechRequest,
    Transcription,
    TranscriptionForm,
    TranslationForm,
)

_TEXTS: dict[str, Any] = {
    "model": Transcription,
    "description": "The text, in the form that `response_format` asks for; with `stream` as events.",
    "content": {"text/plain": {}, "text/event-stream": {}},
}

TRANSCRIPTION_DOCUMENT: dict[str, Any] = {
    "tags": ["audio"],
    "summary": "Transcribe a recording",
    "openapi_extra": documented(form=TranscriptionForm),
    "responses": {200: _TEXTS, **UPSTREAM_ERRORS},
}
TRANSLATION_DOCUMENT: dict[str, Any] = {
    "tags": ["audio"],
    "summary": "Translate a recording into English",
    "openapi_extra": documented(form=TranslationForm),
    "responses": {200: _TEXTS, **UPSTREAM_ERRORS},
}
SPEECH_DOCUMENT: dict[str, Any] = {
    "tags": ["audio"],
    "summary": "Create speech",
    "openapi_extra": documented(SpeechRequest),
    "response_class": Response,
    "responses": {
        200: {
            "description": "The sound as it is made; with `stream_format: sse` as events.",
            "content": {
                "audio/mpeg": {"schema": {"type": "string", "format": "binary"}},
                "text/event-stream": {},
            },
        },
        **UPSTREAM_ERRORS,
    },
}


async def create_transcription(request: Request) -> Response:
    """Write down what is said in a recording. `model` should stand in front of `file`."""
    return await _listen(request, TRANSCRIPTIONS)


async def create_translation(request: Request) -> Response:
    """Write down in English what is said in a recording. `model` should stand in front of `file`."""
    return await _listen(request, TRANSLATIONS)


async def _listen(request: Request, path: str) -> Response:
    origin = await origin_of(request)
    upload = await AudioUpload.open(read_form(request))
    calls = resources(request).serving.calls

    async def ask(model: OfferedModel, origin: CallOrigin) -> tuple[RoutedCall, AnswerStream]:
        note(request, model.id, stream=upload.stream)
        upload.address(model.provider_model_id)
        call = calls.call(model, path, upload, origin, stream=upload.stream, content_type=upload.content_type)
        return call, await calls.begin(call)

    async def work(send: Send) -> None:
        try:
            call, answer = await calls.answered(
                upload.model, origin, ask, again=lambda: upload.can_be_sent_again
            )
            await send_answer(send, call, answer)
        finally:
            upload.close()

    return RoutedResponse(work, body_read=upload.ended.wait)


async def create_speech(request: Request) -> Response:
    """Say a text. The sound is passed on while it is made."""
    origin = await origin_of(request)
    body = await json_body(request)
    asked = parse_speech_request(body)
    calls = resources(request).serving.calls

    async def ask(model: OfferedModel, origin: CallOrigin) -> tuple[RoutedCall, AnswerStream]:
        note(request, model.id, stream=True)
        body["model"] = model.provider_model_id
        call = calls.call(
            model,
            SPEECH,
            orjson.dumps(body),
            origin,
            stream=True,
            estimate=lambda: text_tokens(body["input"]),
        )
        return call, await begin_speech(calls, call)

    async def work(send: Send) -> None:
        await send_answer(send, *await calls.answered(asked, origin, ask))

    return RoutedResponse(work)
