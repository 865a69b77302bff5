"""Names: what kind of provider a vendor's word means, and the public id of a provider's model.

Source: contract/llm-api.md, sections 22.1 and 22.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CUSTOM = "custom"

KINDS = frozenset(
    {
        "jan",
        "openrouter",
        "openai",
        "anthropic",
        "mistral",
        "groq",
        "cohere",
        "ollama",
        "replicate",
        "perplexity",
        "huggingface",
        "deepinfra",
        "google",
        "azure_openai",
        "aws_bedrock",
        "togetherai",
        "vercel_ai",
        "z-image",
        CUSTOM,
    }
)

_KIND_WORDS: Mapping[str, str] = {
    "gemini": "google",
    "googleai": "google",
    "azure-openai": "azure_openai",
    "bedrock": "aws_bedrock",
    "together": "togetherai",
    "vercel-ai": "vercel_ai",
    "vercel": "vercel_ai",
    "zimage": "z-image",
}

# Providers that offer other vendors' models: their own name says nothing about a model.
_AGGREGATORS = frozenset(
    {"openrouter", "replicate", "huggingface", "deepinfra", "togetherai", "vercel_ai", "aws_bedrock"}
)

_OWNERS: Mapping[str, str] = {
    "meta-llama": "meta",
    "mistralai": "mistral",
    "deepmind": "google",
    "tiiuae": "tii",
}

_VENDORS = frozenset(
    {
        "openai",
        "anthropic",
        "google",
        "meta",
        "mistral",
        "cohere",
        "qwen",
        "microsoft",
        "deepseek",
        "nvidia",
        "perplexity",
        "zhipu",
        "01-ai",
        "tii",
        "amazon",
        "ai21",
        "jan",
    }
)

_FAMILIES = (
    ("llama", "meta"),
    ("codellama", "meta"),
    ("gemma", "google"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("qwen", "qwen"),
    ("phi", "microsoft"),
    ("yi", "01-ai"),
    ("chatglm", "zhipu"),
    ("glm", "zhipu"),
    ("deepseek", "deepseek"),
)

_HOSTED_FAMILIES = (
    ("claude", "anthropic"),
    ("gpt", "openai"),
    ("chatgpt", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini", "google"),
)

_SEPARATORS = re.compile(r"[\s_:]+")
_OTHER_SYMBOLS = re.compile(r"[^a-z0-9.\-]+")
_BEDROCK = re.compile(r"(?:(?:us|eu|apac|global)\.)?([a-z0-9]+)\.([^:/]+)(?::\d+)?\Z")
_UNKNOWN = "unknown"


def provider_kind(vendor: str) -> str:
    """The kind that a vendor's word means; `custom` for every other word (vllm included)."""
    word = vendor.strip().lower()
    word = _KIND_WORDS.get(word, word)
    return word if word in KINDS else CUSTOM


def public_model_id(provider_model_id: str, kind: str) -> str:
    """The public id (`vendor/model`) of a model under the name that its provider gives it.

    Args:
        provider_model_id: The id in the provider's own list.
        kind: The provider's kind.
    """
    name = provider_model_id.strip()
    if kind == "google":
        name = name.removeprefix("models/")
    lowered = name.lower()
    if kind == "aws_bedrock" and (match := _BEDROCK.match(lowered)):
        return _joined(_OWNERS.get(match[1], match[1]), match[2])
    if kind == "ollama" and "/" not in lowered:
        return _joined(_family_vendor(lowered) or "ollama", lowered)
    vendor, colon, model = lowered.partition(":")
    if colon and vendor in _VENDORS:
        return _joined(vendor, model)
    if lowered.endswith(".gguf"):
        # An engine without an alias shows the path of its file.
        lowered = lowered.removesuffix(".gguf").rpartition("/")[2]
    if "/" in lowered:
        owner, model = lowered.split("/", 1)[0], lowered.rpartition("/")[2]
        return _joined(_owner_vendor(owner, model, kind), model)
    return _joined(_bare_vendor(lowered, kind), lowered)


def display_name(provider_model_id: str) -> str:
    """How a model is shown when its provider gives it no name of its own."""
    return provider_model_id.strip().removeprefix("models/").rpartition("/")[2] or provider_model_id


def model_family(public_id: str) -> str | None:
    """The family that a public id names, for example `qwen`; None when none is known."""
    name = public_id.rpartition("/")[2]
    for prefix, _ in (*_FAMILIES, *_HOSTED_FAMILIES):
        if name.startswith(prefix):
            return prefix
    return None


def _owner_vendor(owner: str, model: str, kind: str) -> str:
    if owner.startswith("qwen"):
        return "qwen"
    owner = _OWNERS.get(owner, owner)
    if owner in _VENDORS:
        return owner
    if vendor := _family_vendor(model):
        return vendor
    return kind if kind in _AGGREGATORS else owner


def _bare_vendor(model: str, kind: str) -> str:
    if kind == "azure_openai":
        return "openai"
    if kind != CUSTOM and kind not in _AGGREGATORS:
        return kind
    for prefix, vendor in _HOSTED_FAMILIES:
        if model.startswith(prefix):
            return vendor
    return _family_vendor(model) or _UNKNOWN


def _family_vendor(model: str) -> str | None:
    return next((vendor for prefix, vendor in _FAMILIES if model.startswith(prefix)), None)


def _joined(vendor: str, model: str) -> str:
    return f"{_slug(vendor)}/{_slug(model)}"


def _slug(name: str) -> str:
    return _OTHER_SYMBOLS.sub("", _SEPARATORS.sub("-", name.lower())).strip("-") or _UNKNOWN
