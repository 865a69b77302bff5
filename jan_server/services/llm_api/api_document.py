"""What the OpenAPI document says beside the routes: its introduction, its parts, ids, shared errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI

from jan_server.http.api_document import (
    complete_with,
    describe_paths,
    drop_placeholders,
    install_credentials,
    name_bodies,
)
from jan_server.http.error_document import show_errors
from jan_server.http.example_document import show_examples

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


def _id(prefix: str, what: str) -> dict[str, Any]:
    return {
        "description": f"The id of {what}.",
        "schema": {"type": "string", "pattern": f"^{prefix}_[0-9a-z]+$"},
        "example": f"{prefix}_0a1b2c3d4e5f6g7h",
    }


def _uuid(what: str) -> dict[str, Any]:
    return {
        "description": f"The id of {what}.",
        "schema": {"type": "string", "format": "uuid"},
        "example": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    }


PATH_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "conversation_id": _id("conv", "a conversation of the caller"),
    "item_id": _id("msg", "an item of the conversation"),
    "project_id": _id("proj", "a project of the caller"),
    "share_id": _id("shr", "a share of the caller"),
    "provider_id": _id("prov", "a provider"),
    "provider_model_id": _id("pmdl", "a model of a provider"),
    "route_public_id": _id("rte", "a route of models"),
    "key_id": _uuid("an API key"),
    "flag_id": {"description": "The id of a feature flag; deleting one that does not exist is no error."},
    "group_id": _uuid("a group in the identity server"),
    "user_id": _uuid("a user in the identity server"),
    "template_id": {"description": "The `id` or the `public_id` of a prompt template."},
    "tool_id": {"description": "The `id` or the `public_id` of a tool."},
    "template_key": {"description": "The key of a prompt template.", "example": "deep_research"},
    "tool_key": {"description": "The key of a tool.", "example": "google_search"},
    "flag_key": {"description": "The key of a feature flag.", "example": "experimental_models"},
    "model_id": {
        "description": "The id of a model; its slashes may be sent as they are or as `%2F`.",
        "example": "jan/smollm2-135m-instruct",
    },
    "call_id": {"description": "The `call_id` of a tool call.", "example": "call_0a1b2c"},
    "name": {"description": "The name of a branch.", "example": "MAIN"},
    "role": {"description": "The name of a realm role.", "example": "admin"},
    "slug": {
        "description": "The last part of a share's link.",
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{22}$"},
        "example": "h4uLz0WcQy1mT9sXk2bVn3",
    },
    "user": {"description": "The number of a user, or its id in the identity server.", "example": "7"},
}
"""What the parameters of paths look like, by their names."""

EXAMPLE_TEXTS: Mapping[str, str] = {
    "access_token": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "refresh_token": "eyJhbGciOiJIUzUxMiJ9.e30.c2ln",
    "token_type": "Bearer",
    "id": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    "user_id": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    "principal_id": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    "subject": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    "username": "ada",
    "email": "ada@example.org",
    "first_id": "conv_0a1b2c3d4e5f6g7h",
    "last_id": "conv_8h7g6f5e4d3c2b1a",
    "model": "jan/smollm2-135m-instruct",
    "model_public_id": "jan/smollm2-135m-instruct",
    "message": "It worked.",
    "status": "ok",
    "name": "Example",
}
"""What stands for texts in examples, by the name of their member."""

ADMINISTRATION = "/v1/admin/"

# They look at nothing that could be away.
_NEED_NOTHING = frozenset({"/healthz"})


def install_document(app: FastAPI) -> None:
    """Complete the document of `app` with what no route says by itself."""
    install_credentials(app, TAGS)
    complete_with(app, _complete)


def _complete(document: dict[str, Any]) -> None:
    name_bodies(document)
    drop_placeholders(document)
    describe_paths(document, PATH_PARAMETERS)
    show_errors(document, _further_errors)
    show_examples(document, EXAMPLE_TEXTS)


def _further_errors(path: str, method: str, operation: dict[str, Any]) -> Iterable[int]:
    if path.startswith(ADMINISTRATION):
        yield from (403, 429)
    if path not in _NEED_NOTHING:
        yield 503


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
