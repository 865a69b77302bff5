"""What a call costs: the prices of the provider's model, the settings', or those that `genai-prices` brings.

`genai-prices` is a package with the list prices of the well-known providers; nothing is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from jan_server.services.llm_api.models import OfferedModel
from jan_server.services.llm_api.token_counts import TokenCounts

logger = logging.getLogger("jan.llm-api.prices")

Price = Callable[[TokenCounts], Decimal]
"""The cost of a call in dollars."""

MOST_MICRO_USD = 10**12
"""The highest price that is taken, a million dollars; no call counts as more."""

_MILLION = Decimal(1_000_000)
_LINE_DIVISORS = {
    "per_1k_prompt_tokens": ("prompt", 1000),
    "per_1k_completion_tokens": ("completion", 1000),
    "per_request": ("request", 1),
}
_VENDORS = {
    "openai": "openai",
    "azure_openai": "azure",
    "anthropic": "anthropic",
    "google": "google",
    "gemini": "google",
    "mistral": "mistral",
    "groq": "groq",
    "cohere": "cohere",
    "perplexity": "perplexity",
    "together": "together",
    "togetherai": "together",
    "openrouter": "openrouter",
    "aws_bedrock": "aws",
    "huggingface": "huggingface_together",
}


class Prices:
    """Knows what calls cost.

    Args:
        overrides: Dollars for a million tokens by model id, `{"prompt": "2.5", "completion": "10"}`;
            they win over everything else.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, Decimal]] | None = None) -> None:
        self._overrides = overrides or {}
        self._known: dict[OfferedModelKey, Price | None] = {}

    def load(self) -> None:
        """Read the bundled list, which takes a moment: call it in a thread, before the first call."""
        try:
            _list_price("openai", None, "gpt-4o")
        except Exception as failure:
            logger.warning("the list of prices cannot be read: %s", failure)

    def cost(self, model: OfferedModel, counts: TokenCounts) -> Decimal | None:
        """What a call cost in dollars; None where no price is known."""
        key = (model.key, model.pricing, model.provider.kind)
        try:
            price = self._known[key]
        except KeyError:
            if len(self._known) > 10_000:
                self._known.clear()
            price = self._known[key] = self._find(model)
        return None if price is None else price(counts)

    def _find(self, model: OfferedModel) -> Price | None:
        for name in (model.id, model.provider_model_id):
            if name in self._overrides:
                given = self._overrides[name]
                return _fixed(
                    given.get("prompt", Decimal()) / _MILLION, given.get("completion", Decimal()) / _MILLION
                )
        if model.pricing:
            return _stored(model.pricing)
        endpoints = model.provider.endpoints
        try:
            return _list_price(
                _VENDORS.get(model.provider.kind),
                endpoints[0].url if endpoints else None,
                model.provider_model_id,
            )
        except Exception as failure:
            # A price that cannot be found must not cost the call its row.
            logger.warning("no price of %s: %s", model.id, failure)
            return None


OfferedModelKey = tuple[int, tuple[tuple[str, int], ...], str]


def pricing_of(pricing: Mapping[str, Any] | None) -> tuple[tuple[str, int], ...]:
    """The lines of a provider model's stored `pricing`: unit and millionths of a dollar."""
    lines = (pricing or {}).get("lines") or ()
    return tuple(
        (line["unit"], line["amount_micro_usd"])
        for line in lines
        if line.get("unit") in _LINE_DIVISORS and isinstance(line.get("amount_micro_usd"), int)
    )


def _stored(pricing: tuple[tuple[str, int], ...]) -> Price:
    amounts = {"prompt": Decimal(), "completion": Decimal(), "request": Decimal()}
    for unit, micro_dollars in pricing:
        kind, divisor = _LINE_DIVISORS[unit]
        amounts[kind] += Decimal(micro_dollars) / _MILLION / divisor
    return _fixed(amounts["prompt"], amounts["completion"], amounts["request"])


def _fixed(prompt: Decimal, completion: Decimal, request: Decimal = Decimal()) -> Price:
    return lambda counts: prompt * counts.prompt + completion * counts.completion + request


def _list_price(vendor: str | None, url: str | None, model_id: str) -> Price | None:
    """The list price; None for a model that no list names."""
    # Importing it takes a quarter of a second, which only a service that calls models should pay.
    from genai_prices import Usage, calc_price

    def price(counts: TokenCounts) -> Decimal:
        usage = Usage(
            input_tokens=counts.prompt,
            output_tokens=counts.completion,
            cache_read_tokens=min(counts.cached, counts.prompt),
        )
        if vendor is not None:
            return calc_price(usage, model_id, provider_id=vendor).total_price
        return calc_price(usage, model_id, provider_api_url=url).total_price

    if vendor is None and url is None:
        return None
    try:
        price(TokenCounts(1, 1))
    except LookupError:
        return None
    return price
