"""Reranking: a model sorts documents by what they say about a query, in the shape of Jina and Cohere.

Source: Jina API, "Reranker"; Cohere API, "Rerank". vLLM and llama.cpp serve the same shape.
"""

from __future__ import annotations

from typing import Any

import orjson

from jan_server.services.llm_api.context_window import text_tokens
from jan_server.services.llm_api.member_checks import (
    check_array,
    check_boolean,
    check_members,
    check_positive,
    check_text_or_object,
    model_of,
    require,
    wrong_type,
)

PATH = "/rerank"

_CHECKS = {
    "query": check_text_or_object,
    "documents": check_array,
    "top_n": check_positive,
    "return_documents": check_boolean,
}


def parse_rerank_request(body: dict[str, Any]) -> str:
    """Check a request's body; returns the model that it asks for.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    model = model_of(body)
    require(body, "query")
    documents = require(body, "documents")
    check_members(body, _CHECKS)
    for index, document in enumerate(documents):
        if not isinstance(document, str | dict):
            raise wrong_type(f"documents[{index}]", "a string or an object")
    return model


def rerank_tokens(body: dict[str, Any]) -> int:
    """The estimated tokens of query and documents, the query counted with each document."""
    documents = body["documents"]
    return _tokens(body["query"]) * len(documents) + sum(map(_tokens, documents))


def _tokens(given: Any) -> int:
    return text_tokens(given if isinstance(given, str) else orjson.dumps(given).decode())
