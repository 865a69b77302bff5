"""Text completions: a prompt goes on, without messages and conversations.

Source: OpenAI API reference, "Create completion".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from jan_server.services.llm_api.context_window import text_tokens
from jan_server.services.llm_api.member_checks import (
    Check,
    check_boolean,
    check_integer,
    check_members,
    check_number,
    check_object,
    check_text,
    check_text_or_texts,
    check_texts_or_tokens,
    model_of,
)
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.response_cache import CacheWish, cache_wish
from jan_server.services.llm_api.routed_call import CallOrigin, ModelCalls, RoutedCall
from jan_server.services.llm_api.token_counts import ask_usage

PATH = "/completions"

_CHECKS: Mapping[str, Check] = {
    "model": check_text,
    "prompt": check_texts_or_tokens,
    "stream": check_boolean,
    "stream_options": check_object,
    "echo": check_boolean,
    "best_of": check_integer,
    "max_tokens": check_integer,
    "n": check_integer,
    "seed": check_integer,
    "logprobs": check_integer,
    "temperature": check_number,
    "top_p": check_number,
    "presence_penalty": check_number,
    "frequency_penalty": check_number,
    "logit_bias": check_object,
    "stop": check_text_or_texts,
    "suffix": check_text,
    "user": check_text,
}


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One checked request.

    Attributes:
        body: As it came, without Jan's members.
        model: The model that the client asked for.
        stream: Whether the client asked for a stream.
        cache: Whether and how its answer may be used again; None for as its key says.
    """

    body: dict[str, Any]
    model: str
    stream: bool
    cache: CacheWish | None


def parse_completion_request(body: dict[str, Any]) -> CompletionRequest:
    """Check a request's body.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    model = model_of(body)
    check_members(body, _CHECKS)
    cache = cache_wish(body.pop("cache", None))
    return CompletionRequest(body, model, body.get("stream") is True, cache)


def completion_call(
    calls: ModelCalls, request: CompletionRequest, model: OfferedModel, origin: CallOrigin, *, ask: bool
) -> tuple[RoutedCall, bool]:
    """The call of a request, and whether it asks for the usage of a stream without its caller's wish.

    Args:
        calls: Makes calls.
        request: The checked request.
        model: Who answers.
        origin: Who asks.
        ask: Whether the usage of streams may be asked for.
    """
    body = {**request.body, "model": model.provider_model_id}
    for name, value in model.defaults.items():
        if body.get(name) is None:
            body[name] = value
    asked = ask and request.stream and ask_usage(body)
    prompt = body.get("prompt")
    written = orjson.dumps(body)
    call = calls.call(
        model,
        PATH,
        written,
        origin,
        stream=request.stream,
        estimate=lambda: input_tokens(prompt),
    )
    call.place = calls.place(request.cache, model, PATH, written, origin)
    return call, asked


def input_tokens(given: Any) -> int:
    """The estimated tokens of texts, or the number of token ids, in any of the forms of a prompt."""
    if isinstance(given, str):
        return text_tokens(given)
    if isinstance(given, list):
        return sum(map(input_tokens, given))
    return 1 if isinstance(given, int) else 0
