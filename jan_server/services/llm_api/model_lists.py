"""What a provider's own model list says about each model, in whichever dialect it is written.

Every OpenAI-compatible server answers `GET /models`, most of them with more than OpenAI's four
members: OpenRouter tells prices and modalities, vLLM `max_model_len`, llama.cpp `meta`, Groq
`context_window` (contract/llm-api.md, section 23).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from jan_server.services.llm_api.prices import MOST_MICRO_USD

STANDARD_PARAMETERS = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "top_logprobs",
    "top_p",
)
EMBEDDING_MODEL: Mapping[str, Any] = {
    "modality": "text->embeddings",
    "input_modalities": ["text"],
    "output_modalities": ["embeddings"],
}
"""The architecture of a model that turns texts into vectors, in the words of OpenRouter's list."""

_TOOL_PARAMETERS = ("tool_choice", "tools")
_MICRO_USD = 1_000_000
_PRICE_UNITS: Mapping[str, tuple[str, int]] = {
    "prompt": ("per_1k_prompt_tokens", 1000),
    "completion": ("per_1k_completion_tokens", 1000),
    "request": ("per_request", 1),
    "image": ("per_image", 1),
    "web_search": ("per_web_search", 1),
    "internal_reasoning": ("per_internal_reasoning", 1),
}


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One entry of a provider's list.

    Attributes:
        id: The provider's own id.
        name: The name that the provider shows; empty when it shows none.
        rich: Whether the list said more than OpenAI's does.
        context_length: Tokens of prompt and answer together; None when unknown.
        maximum_answer: The longest answer in tokens; None when unknown.
        parameters: Names of accepted parameters.
        defaults: Their defaults, as far as the list tells.
        architecture: Modalities, tokenizer and instruct type.
        prices: Lines of `{unit, amount_micro_usd, currency}`.
    """

    id: str
    name: str = ""
    description: str | None = None
    rich: bool = False
    context_length: int | None = None
    maximum_answer: int | None = None
    parameters: tuple[str, ...] = STANDARD_PARAMETERS
    defaults: Mapping[str, Any] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    prices: tuple[dict[str, Any], ...] = ()
    is_moderated: bool | None = None

    @property
    def reads_images(self) -> bool:
        """Whether the model takes images."""
        return "image" in self.architecture.get("input_modalities", ())

    @property
    def reads_audio(self) -> bool:
        """Whether the model takes sound."""
        return "audio" in self.architecture.get("input_modalities", ())

    @property
    def embeds(self) -> bool:
        """Whether the model makes embeddings."""
        return "embed" in self.id.lower() or "embeddings" in self.architecture.get("output_modalities", ())

    @property
    def reasons(self) -> bool:
        """Whether the model can show its reasoning."""
        return "include_reasoning" in self.parameters

    @property
    def calls_tools(self) -> bool:
        """Whether the model can call tools."""
        return "tools" in self.parameters


def parse_model_list(document: Any, *, tool_support: bool) -> list[ListedModel]:
    """The models of a list document; entries without an id are passed over.

    Args:
        document: The parsed answer: `{"data": […]}` or a bare list.
        tool_support: Whether the provider's models take tools where the list does not say.

    Raises:
        ValueError: The document is no model list.
    """
    entries = document.get("data") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ValueError("the answer of /models is not a list of models")
    seen: dict[str, ListedModel] = {}
    for entry in entries:
        model_id = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(model_id, str) and model_id.strip():
            seen.setdefault(model_id, _listed(entry, model_id, tool_support))
    return list(seen.values())


def _listed(entry: Mapping[str, Any], model_id: str, tool_support: bool) -> ListedModel:
    top = _mapping(entry.get("top_provider"))
    meta = _mapping(entry.get("meta"))
    names = entry.get("supported_parameters")
    if isinstance(names, list):
        parameters = tuple(sorted({name for name in names if isinstance(name, str)}))
    else:
        parameters = STANDARD_PARAMETERS + (_TOOL_PARAMETERS if tool_support else ())
    defaults = _mapping(entry.get("default_parameters"))
    return ListedModel(
        id=model_id,
        name=_text(entry.get("name")),
        description=_text(entry.get("description")) or None,
        rich=isinstance(entry.get("architecture"), dict),
        context_length=_first_whole_number(
            entry.get("context_length"),
            entry.get("max_model_len"),
            entry.get("context_window"),
            meta.get("n_ctx"),
            meta.get("n_ctx_train"),
        ),
        maximum_answer=_first_whole_number(
            top.get("max_completion_tokens"), entry.get("max_completion_tokens")
        ),
        parameters=parameters,
        defaults={name: value for name, value in defaults.items() if isinstance(value, int | float)},
        architecture=dict(_mapping(entry.get("architecture"))),
        prices=_prices(_mapping(entry.get("pricing"))),
        is_moderated=top.get("is_moderated") if isinstance(top.get("is_moderated"), bool) else None,
    )


def _prices(pricing: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    lines = []
    for name, (unit, count) in _PRICE_UNITS.items():
        try:
            amount = Decimal(str(pricing[name])) * count * _MICRO_USD
        except (KeyError, InvalidOperation):
            continue
        # A router writes -1 where the price depends on the model it picks.
        if amount.is_finite() and 0 <= amount <= MOST_MICRO_USD:
            lines.append({"unit": unit, "amount_micro_usd": round(amount), "currency": "USD"})
    return tuple(lines)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _first_whole_number(*values: Any) -> int | None:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
