"""Embeddings: texts as vectors, from a provider or from the model inside this process.

Source: OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from jan_server.inference.embedder import Embedded, Embedder, Input, InputError
from jan_server.services.llm_api.completions import input_tokens
from jan_server.services.llm_api.member_checks import (
    check_members,
    check_positive,
    check_text,
    check_texts_or_tokens,
    is_integer,
    model_of,
    one_of,
    require,
)
from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.response_cache import CachePlace, CacheWish, cache_wish
from jan_server.services.llm_api.routed_call import CallOrigin, ModelCalls
from jan_server.services.llm_api.token_counts import TokenCounts

PATH = "/embeddings"
MOST_INPUTS = 2048
"""Inputs of one request to a model in this process at the most, as OpenAI has it."""

_BASE64 = "base64"
_FIRST_VECTOR = re.compile(rb'"embedding"\s*:\s*([\["])')

_CHECKS = {
    "input": check_texts_or_tokens,
    "encoding_format": one_of("float", _BASE64),
    "dimensions": check_positive,
    "user": check_text,
}


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """One checked request.

    Attributes:
        body: As it came, without Jan's members.
        model: The model that the client asked for.
        inputs: What is embedded, one entry a vector.
        as_base64: Whether vectors are wanted in base64 instead of numbers.
        dimensions: How long they are to be; None as the model makes them.
        cache: Whether and how its answer may be used again; None for as its key says.
    """

    body: dict[str, Any]
    model: str
    inputs: list[Input]
    as_base64: bool
    dimensions: int | None
    cache: CacheWish | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """The answer to one request.

    Attributes:
        model: Who gave it.
        body: The list of embeddings as JSON.
        place: Where it is kept; None for nowhere.
    """

    model: OfferedModel
    body: bytes
    place: CachePlace | None


def parse_embedding_request(body: dict[str, Any]) -> EmbeddingRequest:
    """Check a request's body.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    model = model_of(body)
    given = require(body, "input")
    check_members(body, _CHECKS)
    single = isinstance(given, str) or is_integer(given[0])
    inputs: list[Input] = [given] if single else given
    for index, entry in enumerate(inputs):
        if not entry:
            raise Invalid(
                f"input[{index}] is empty; an embedding needs a text",
                param=f"input[{index}]",
                code="invalid_value",
            )
    cache = cache_wish(body.pop("cache", None))
    return EmbeddingRequest(
        body, model, inputs, body.get("encoding_format") == _BASE64, body.get("dimensions"), cache
    )


class Embeddings:
    """Makes embeddings.

    Args:
        calls: Calls the models of providers.
        embedders: The models inside this process, by the names under which their provider lists them.
    """

    def __init__(self, calls: ModelCalls, embedders: Mapping[str, Embedder]) -> None:
        self._calls = calls
        self._embedders = embedders

    async def create(
        self, request: EmbeddingRequest, model: OfferedModel, origin: CallOrigin
    ) -> EmbeddingAnswer:
        """The vectors of a request.

        Raises:
            Invalid: The model inside this process cannot embed an input, or not in these dimensions.
            UpstreamError: The provider gave no answer.
        """
        if not model.provider.endpoints and (embedder := self._embedders.get(model.provider_model_id)):
            return await self._created_here(embedder, request, model, origin)
        body = orjson.dumps({**request.body, "model": model.provider_model_id})
        call = self._calls.call(
            model,
            PATH,
            body,
            origin,
            estimate=lambda: sum(map(input_tokens, request.inputs)),
        )
        call.place = self._calls.place(request.cache, model, PATH, body, origin)
        answer = await self._calls.whole(call, member=b"embedding")
        return EmbeddingAnswer(model, as_asked(answer, as_base64=request.as_base64), call.place)

    async def _created_here(
        self, embedder: Embedder, request: EmbeddingRequest, model: OfferedModel, origin: CallOrigin
    ) -> EmbeddingAnswer:
        dimensions = request.dimensions or embedder.dimensions
        if dimensions > embedder.dimensions:
            raise Invalid(
                f"dimensions is {dimensions}, and {model.id} has {embedder.dimensions}",
                param="dimensions",
                code="invalid_value",
            )
        if len(request.inputs) > MOST_INPUTS:
            raise Invalid(
                f"input has {len(request.inputs)} entries, the most is {MOST_INPUTS}",
                param="input",
                code="invalid_value",
            )
        meter = self._calls.meter(model, origin)
        place = self._calls.place(request.cache, model, PATH, orjson.dumps(request.body), origin)
        if place is not None and place.answer is not None:
            meter.finish(200)
            return EmbeddingAnswer(model, place.answer, place)
        with meter:
            try:
                embedded = await embedder.embed(request.inputs, dimensions)
            except InputError as failure:
                meter.finish(400)
                raise Invalid(
                    f"input[{failure.index}]: {failure}", param=f"input[{failure.index}]", code=failure.code
                ) from failure
            meter.finish(200, TokenCounts(embedded.tokens))
        answer = _list_object(embedded, model.id, as_base64=request.as_base64)
        if place is not None:
            place.keep(answer)
        return EmbeddingAnswer(model, answer, place)


def _list_object(embedded: Embedded, model_id: str, *, as_base64: bool) -> bytes:
    rows: list[Any] = list(embedded.vectors)
    if as_base64:
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in rows]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return orjson.dumps(
        {"object": "list", "data": data, "model": model_id, "usage": usage},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def as_asked(answer: bytes, *, as_base64: bool) -> bytes:
    """A provider's answer with its vectors in the form that was asked for.

    OpenAI's clients ask for base64 by themselves, and some providers know numbers only. An answer
    that has the right form already keeps its bytes.
    """
    first = _FIRST_VECTOR.search(answer)
    if first is None or (first[1] == b'"') == as_base64:
        return answer
    try:
        document = orjson.loads(answer)
        for entry in document["data"]:
            entry["embedding"] = (_packed if as_base64 else _unpacked)(entry["embedding"])
    except (ValueError, TypeError, KeyError):
        # Not what OpenAI's API has; whoever asked may know what it is.
        return answer
    return orjson.dumps(document)


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(_little_endian(array("f", numbers)).tobytes()).decode()


def _unpacked(text: str) -> list[float]:
    return _little_endian(array("f", base64.b64decode(text, validate=True))).tolist()


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
