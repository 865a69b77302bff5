"""The public ids of models, whatever their provider calls them."""

from __future__ import annotations

import pytest

from jan_server.services.llm_api.model_ids import provider_kind, public_model_id


@pytest.mark.parametrize(
    ("provider_id", "kind", "public"),
    [
        ("gpt-4o", "openai", "openai/gpt-4o"),
        ("gpt-4o", "custom", "openai/gpt-4o"),
        ("gpt-4o", "azure_openai", "openai/gpt-4o"),
        ("o1-mini", "custom", "openai/o1-mini"),
        ("claude-sonnet-4", "custom", "anthropic/claude-sonnet-4"),
        ("models/gemini-1.5-pro", "google", "google/gemini-1.5-pro"),
        ("anthropic.claude-3-haiku:1", "aws_bedrock", "anthropic/claude-3-haiku"),
        ("meta-llama/Llama-3.1-8B-Instruct", "custom", "meta/llama-3.1-8b-instruct"),
        ("Qwen/Qwen2.5-0.5B_Instruct", "custom", "qwen/qwen2.5-0.5b-instruct"),
        ("mistralai/Mixtral-8x7B", "openrouter", "mistral/mixtral-8x7b"),
        ("someone/phi-3-tuned", "huggingface", "microsoft/phi-3-tuned"),
        ("someone/wizard", "openrouter", "openrouter/wizard"),
        ("someone/wizard", "custom", "someone/wizard"),
        ("openai:gpt-4o", "custom", "openai/gpt-4o"),
        ("qwen2.5:7b", "ollama", "qwen/qwen2.5-7b"),
        ("smollm2-135m-instruct", "jan", "jan/smollm2-135m-instruct"),
        ("/models/Foo Bar.Q4_1.gguf", "jan", "jan/foo-bar.q4-1"),
        ("my-model!", "custom", "unknown/my-model"),
        ("llama-3.1-8b-instant", "groq", "groq/llama-3.1-8b-instant"),
    ],
)
def test_public_ids(provider_id: str, kind: str, public: str) -> None:
    assert public_model_id(provider_id, kind) == public


@pytest.mark.parametrize(
    ("word", "kind"),
    [("Gemini", "google"), ("azure-openai", "azure_openai"), ("together", "togetherai"), ("vllm", "custom")],
)
def test_vendor_words(word: str, kind: str) -> None:
    assert provider_kind(word) == kind
