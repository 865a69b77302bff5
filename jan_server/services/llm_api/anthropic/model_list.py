"""Models as Anthropic's Models API shows them: the ones that answer messages, page by page.

Source: Anthropic API reference, "List models" and "Get a model" (version 2023-06-01).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from jan_server.services.llm_api.models import LLM, OfferedModel
from jan_server.services.llm_api.refusals import Invalid

DEFAULT_LIMIT = 20
MAXIMUM_LIMIT = 1000

_ACTIVE = "active"
_LIFECYCLES = ("lifecycle", "lifecycle[]")


class Query(Protocol):
    """The parameters of a request's query."""

    def get(self, key: str, /) -> str | None:
        """The last value of a parameter."""
        ...

    def getlist(self, key: str, /) -> list[str]:
        """All values of a parameter."""
        ...


def model_info(model: OfferedModel) -> dict[str, Any]:
    """One model; what nobody here knows of it is null."""
    created = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": created,
        "lifecycle": _ACTIVE,
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": model.context_length,
        "max_tokens": None,
    }


def model_page(models: Sequence[OfferedModel], query: Query) -> dict[str, Any]:
    """One page of the models that answer messages.

    Args:
        models: All models, in the order of lists.
        query: `limit`, `after_id` or `before_id`, and `lifecycle`: every model here is active.

    Raises:
        Invalid: A parameter is wrong; `param` names it.
    """
    limit = _limit(query.get("limit"))
    lifecycles = [word for name in _LIFECYCLES for word in query.getlist(name)]
    shown = [model for model in models if model.provider_category == LLM]
    if lifecycles and not any(_ACTIVE in word.split(",") for word in lifecycles):
        shown = []
    after, before = query.get("after_id"), query.get("before_id")
    if after and before:
        raise Invalid("after_id: cannot be combined with before_id", param="after_id")
    if before:
        left = shown[: _place(shown, before, "before_id")]
        page, has_more = left[-limit:], len(left) > limit
    else:
        left = shown[_place(shown, after, "after_id") + 1 :] if after else shown
        page, has_more = left[:limit], len(left) > limit
    return {
        "data": [model_info(model) for model in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": has_more,
    }


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_LIMIT
    # Longer ones are too large anyway, and Python refuses to read the longest.
    limit = int(given) if given.isascii() and given.isdigit() and len(given) <= len(str(MAXIMUM_LIMIT)) else 0
    if not 1 <= limit <= MAXIMUM_LIMIT:
        raise Invalid(f"limit: must be a whole number from 1 to {MAXIMUM_LIMIT}", param="limit")
    return limit


def _place(models: Sequence[OfferedModel], model_id: str, param: str) -> int:
    place = next((index for index, model in enumerate(models) if model.id == model_id), None)
    if place is None:
        raise Invalid(f"{param}: there is no model {model_id!r}", param=param)
    return place
