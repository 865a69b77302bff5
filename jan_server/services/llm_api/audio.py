"""Sound: recordings become text, and text becomes speech.

Source: OpenAI API reference, "Create transcription", "Create translation" and "Create speech".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jan_server.inference.answer_stream import AnswerStream
from jan_server.services.llm_api.chat_stream import no_completion
from jan_server.services.llm_api.member_checks import (
    Check,
    check_members,
    check_number,
    check_text,
    check_text_or_object,
    model_of,
    one_of,
    require,
)
from jan_server.services.llm_api.routed_call import JSON, ModelCalls, RoutedCall

TRANSCRIPTIONS = "/audio/transcriptions"
TRANSLATIONS = "/audio/translations"
SPEECH = "/audio/speech"

_ERROR_BYTES = 65_536
_CHECKS: Mapping[str, Check] = {
    "input": check_text,
    "voice": check_text_or_object,
    "instructions": check_text,
    "response_format": check_text,
    "speed": check_number,
    "stream_format": one_of("sse", "audio"),
}


def parse_speech_request(body: dict[str, Any]) -> str:
    """Check the body of a request for speech; returns the model that it asks for.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    model = model_of(body)
    require(body, "input")
    check_members(body, _CHECKS)
    return model


async def begin_speech(calls: ModelCalls, call: RoutedCall) -> AnswerStream:
    """Wait for the first sound of an answer.

    Raises:
        UpstreamError: The provider did not begin to speak, or answered something else with status 200.
    """
    answer = await calls.begin(call)
    if not answer.headers.get("Content-Type", "").startswith(JSON):
        return answer
    with call.meter:
        body = b""
        async with answer:
            async for chunk in answer:
                body += chunk
                if len(body) > _ERROR_BYTES:
                    break
        raise no_completion(call.provider, body, expected="sound")
