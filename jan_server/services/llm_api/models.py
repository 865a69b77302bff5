"""Models as clients see and call them: which provider answers for an id, and the public list.

Source: contract/llm-api.md, sections 9.1 and 22.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from jan_server.inference.provider import Provider

JAN_KIND = "jan"
LLM = "llm"

_PRICED = frozenset({"per_1k_prompt_tokens", "per_1k_completion_tokens"})


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """One model as one provider offers it.

    Attributes:
        id: The public id that clients use.
        provider_model_id: The provider's own id, which goes into the request.
        key: The key of its row.
        provider: Who answers.
        category: The group in which lists show it.
        provider_category: What its provider answers (`llm`, `image`, …).
        created: When it appeared here, in Unix seconds.
        price: The sum of its prices for 1000 prompt and completion tokens in millionths of a
            dollar; None when unknown.
        context_length: Tokens of prompt and answer together; None when unknown.
        defaults: Parameters for requests that do not set them.
        instruct_key: The key of the model that answers when thinking is switched off.
        problem: Why it cannot be called although it is offered; empty when it can.
        pricing: Its stored prices, as units and millionths of a dollar.
    """

    id: str
    provider_model_id: str
    key: int
    provider: Provider
    display_name: str = ""
    category: str = ""
    provider_category: str = LLM
    category_order: int = 0
    model_order: int = 0
    created: int = 0
    price: int | None = None
    context_length: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    instruct_key: int | None = None
    problem: str = ""
    pricing: tuple[tuple[str, int], ...] = ()


class ModelTable:
    """All models that can be called at one moment, ready to be looked up and listed."""

    def __init__(self, models: Iterable[OfferedModel] = ()) -> None:
        offered = sorted(models, key=_place)
        self.by_id: dict[str, OfferedModel] = {}
        self.by_key: dict[int, OfferedModel] = {}
        by_provider_id: dict[str, OfferedModel] = {}
        for model in offered:
            self.by_key[model.key] = model
            _keep_preferred(self.by_id, model.id, model)
            _keep_preferred(by_provider_id, model.provider_model_id, model)
        # The provider's own ids work as well, where no public id says otherwise: OpenAI's
        # clients ask for `gpt-4o`, not for `openai/gpt-4o`.
        self._known = {**by_provider_id, **self.by_id}
        merged = [model for model in offered if self.by_id[model.id] is model]
        self.merged: Sequence[OfferedModel] = merged
        self.first_id = next((model.id for model in merged if model.provider_category == LLM), "")
        self.listing = model_list(merged) if merged else None
        self.detailed_listing = model_list(offered, with_provider=True) if offered else None

    def find(self, model_id: str) -> OfferedModel | None:
        """The model that answers for an id; None when there is none."""
        return self._known.get(model_id)

    def instruct_partner(self, model: OfferedModel) -> OfferedModel | None:
        """The model that answers instead of `model` when thinking is switched off."""
        return None if model.instruct_key is None else self.by_key.get(model.instruct_key)


def _keep_preferred(known: dict[str, OfferedModel], name: str, model: OfferedModel) -> None:
    rival = known.get(name)
    if rival is None or is_preferred(model, rival):
        known[name] = model


def is_preferred(model: OfferedModel, rival: OfferedModel) -> bool:
    """Whether `model` answers rather than `rival`, which came first: the cheaper, the priced, Jan's own."""
    if model.price is not None and rival.price is not None:
        return model.price < rival.price
    if model.price is not None or rival.price is not None:
        return model.price is not None
    return model.provider.kind == JAN_KIND and rival.provider.kind != JAN_KIND


def _place(model: OfferedModel) -> tuple[bool, int, bool, int, bool, int]:
    # 0 means that nobody gave it a place: it comes last. Clients that take the first one want to chat.
    return (
        model.category_order == 0,
        model.category_order,
        model.model_order == 0,
        model.model_order,
        model.provider_category != LLM,
        model.key,
    )


def price_of(pricing: Mapping[str, Any] | None) -> int | None:
    """The price by which models are compared; None when the row names none."""
    lines = (pricing or {}).get("lines") or ()
    amounts = [line["amount_micro_usd"] for line in lines if line.get("unit") in _PRICED]
    return sum(amounts) if amounts else None


def model_list(models: Sequence[OfferedModel], *, with_provider: bool = False) -> bytes:
    """The list object with these models, as JSON."""
    data = [model_object(model, with_provider=with_provider) for model in models]
    return orjson.dumps({"object": "list", "data": data})


def model_object(model: OfferedModel, *, with_provider: bool = False) -> dict[str, Any]:
    """OpenAI's model object with Jan's members beside it."""
    shown: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.provider.name,
        "model_display_name": model.display_name,
        "category": model.category,
        "category_order_number": model.category_order,
        "model_order_number": model.model_order,
    }
    if with_provider:
        shown["provider_id"] = model.provider.id
        shown["provider_vendor"] = model.provider.kind
        shown["provider_name"] = model.provider.name
    return shown
