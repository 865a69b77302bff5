"""The words of the OpenAPI document: its introduction, and its parts in the order of their use."""

from __future__ import annotations

TAGS: tuple[dict[str, str], ...] = tuple(
    {"name": name, "description": description}
    for name, description in (
        ("auth", "Log in, as a guest or a person; refresh, upgrade and end sessions."),
        ("api keys", "Keys for programs."),
        ("models", "The models that can be asked."),
        ("chat", "OpenAI's chat completions."),
        ("completions", "OpenAI's text completions."),
        ("messages", "Anthropic's messages."),
        ("embeddings", "Vectors of texts."),
        ("rerank", "Documents by how well they answer a query."),
        ("moderations", "Whether texts are harmful."),
        ("audio", "Speech to text, and text to speech."),
        ("images", "Pictures from words, and from other pictures."),
        ("conversations", "Kept chats."),
        ("items", "What a conversation consists of."),
        ("branches", "Versions of a conversation."),
        ("projects", "Conversations that share an instruction."),
        ("shares", "Conversations that others may read."),
        ("user settings", "The caller's own settings."),
        ("usage", "What calls of models added up to."),
        ("prompt templates", "Texts that prompts are made of."),
        ("MCP tools", "What is known of the tools."),
        ("health", "Whether the service works."),
        ("provider administration", "For administrators: where answers come from."),
        ("model administration", "For administrators: which models are offered."),
        ("model prompt templates", "For administrators: prompts of single models."),
        ("users", "For administrators."),
        ("groups", "For administrators."),
        ("feature flags", "For administrators."),
        ("key administration", "For administrators: keys of others, and limits."),
        ("audit log", "For administrators: who changed what."),
    )
)


def introduction(public_url: str) -> str:
    """What the document begins with, in Markdown.

    Args:
        public_url: Where clients reach the gateway.
    """
    return f"""\
Most routes need a credential. A guest's token costs nothing:

```sh
curl -X POST {public_url.rstrip("/")}/auth/guest-login
```

Put the answer's `access_token` into **Authorize** above, or send it as `Authorization: Bearer …`. With it,
`POST /auth/api-keys` makes an API key for programs, which is sent as `X-API-Key` or in the token's place.

Routes without a lock need none. Every route below `/auth`, and every one below `/v1` that has a lock, is also
served below `/llm`. In errors, `error.message` says what is wrong, and `error.param` names the field.
"""
