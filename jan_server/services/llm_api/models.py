"""Models as clients see and call them: which provider answers for an id, and the public list.

Source: contract/llm-api.md, sections 9.1 and 22.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from jan_server.authentication.principal import Principal
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
        required_flags: The feature flags, in small letters, without which nobody sees or calls it by its
            own name; a route to it is open to all.
        route: The route that this entry stands for in the list of models; None for a model.
        asked: The entry of the route by whose name it is asked for; None where its own id was sent.
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
    required_flags: frozenset[str] = frozenset()
    route: Route | None = None
    asked: OfferedModel | None = None


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One model behind a route.

    Attributes:
        model: The model.
        weight: Its share of the requests among the targets of its priority.
        priority: The lowest number is asked first.
    """

    model: OfferedModel
    weight: int = 1
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A name that leads to models (see `routing.py`).

    Attributes:
        name: What clients send as `model`.
        targets: The models that can be called now, by priority.
        fallback_on: The kinds of failures for which another model is asked.
        created: When it was made, in Unix seconds.
    """

    name: str
    targets: tuple[RouteTarget, ...]
    fallback_on: frozenset[str]
    created: int = 0


@dataclass(frozen=True, slots=True)
class RouteDescription:
    """A route as it is stored, its targets still names: (model, provider or "", weight, priority)."""

    name: str
    targets: tuple[tuple[str, str, int, int], ...]
    fallback_on: frozenset[str]
    created: int = 0


_ROUTES_OWNER = Provider(id="", name=JAN_KIND, endpoints=(), kind=JAN_KIND)


class ModelTable:
    """All models that can be called at one moment, ready to be looked up and listed.

    Args:
        models: The models as providers offer them.
        routes: The active routes; a route wins over a model of the same name.
        routed: What stands for routes whose models are found already.
    """

    def __init__(
        self,
        models: Iterable[OfferedModel] = (),
        routes: Iterable[RouteDescription] = (),
        *,
        routed: Sequence[OfferedModel] = (),
    ) -> None:
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
        by_name = {**by_provider_id, **self.by_id}
        routed = [*routed, *(_route_entry(_resolved(route, by_name, offered)) for route in routes)]
        self._routed = routed
        self._flags = frozenset[str]().union(*(model.required_flags for model in offered))
        self._parts: dict[frozenset[str], ModelTable] = {}
        self._known = {**by_name, **{entry.id: entry for entry in routed}}
        merged = [model for model in offered if self.by_id[model.id] is model]
        if routed:
            merged = _with_routes(merged, routed)
        self.merged: Sequence[OfferedModel] = merged
        self.first_id = next((model.id for model in merged if model.provider_category == LLM), "")
        self.listing = model_list(merged) if merged else None
        self.detailed_listing = model_list(offered, with_provider=True) if offered else None

    def seen_by(self, principal: Principal) -> ModelTable:
        """The models that a caller's feature flags let it see and call; administrators see all."""
        if not self._flags or principal.is_admin:
            return self
        held = self._flags.intersection(flag.lower() for flag in principal.feature_flags)
        part = self._parts.get(held)
        if part is None:
            seen = (model for model in self.by_key.values() if model.required_flags <= held)
            part = self._parts[held] = ModelTable(seen, routed=self._routed)
        return part

    def find(self, model_id: str) -> OfferedModel | None:
        """The model that answers for an id; None when there is none."""
        return self._known.get(model_id)

    def instruct_partner(self, model: OfferedModel) -> OfferedModel | None:
        """The model that answers instead of `model` when thinking is switched off."""
        return None if model.instruct_key is None else self.by_key.get(model.instruct_key)


def _resolved(
    described: RouteDescription, by_name: Mapping[str, OfferedModel], offered: Sequence[OfferedModel]
) -> Route:
    """A route with the models of its targets; targets that cannot be called now are left out."""
    targets = []
    for name, provider_id, weight, priority in described.targets:
        model = by_name.get(name)
        if provider_id:
            own = (model for model in offered if model.provider.id == provider_id)
            model = next((model for model in own if name in (model.id, model.provider_model_id)), None)
        if model is not None:
            targets.append(RouteTarget(model, weight, priority))
    targets.sort(key=lambda target: target.priority)
    return Route(described.name, tuple(targets), described.fallback_on, described.created)


def _route_entry(route: Route) -> OfferedModel:
    """What stands for a route in the list of models: it is like its first model."""
    like = route.targets[0].model if route.targets else None
    return OfferedModel(
        id=route.name,
        provider_model_id=route.name,
        key=0,
        provider=_ROUTES_OWNER,
        display_name=route.name,
        category=like.category if like else "",
        provider_category=like.provider_category if like else LLM,
        created=route.created,
        context_length=like.context_length if like else None,
        route=route,
    )


def _with_routes(models: Sequence[OfferedModel], routed: Sequence[OfferedModel]) -> list[OfferedModel]:
    """The list with its routes: in the place of the model of that name, else at the end."""
    entries = {entry.id: entry for entry in routed if entry.route and entry.route.targets}
    unavailable = {entry.id for entry in routed} - entries.keys()
    found = [entries.pop(model.id, model) for model in models if model.id not in unavailable]
    return [*found, *entries.values()]


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
