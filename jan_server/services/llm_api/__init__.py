"""LLM API: OpenAI-compatible chat, conversations, projects, models, providers and keys."""
