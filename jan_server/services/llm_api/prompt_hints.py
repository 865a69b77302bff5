"""What a chat request says about prompts beside its body, in headers and query.

Source: contract/llm-api.md, section 7.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class PromptHints:
    """What a request says beside its body.

    Attributes:
        memory: Lines to remember, from the header `X-Prompt-Memory`.
        persona: From the query's `persona` or the header `X-Prompt-Persona`.
        language: The header `Accept-Language`.
    """

    memory: tuple[str, ...] = ()
    persona: str = ""
    language: str = ""


NO_HINTS = PromptHints()


def prompt_hints(scope: Scope) -> PromptHints:
    """The hints in a request's headers and query."""
    memory = persona = language = ""
    for name, value in scope["headers"]:
        if name == b"x-prompt-memory":
            memory = _text(value)
        elif name == b"x-prompt-persona":
            persona = _text(value)
        elif name == b"accept-language":
            language = _text(value)
    query: bytes = scope["query_string"]
    if b"persona=" in query:
        persona = parse_qs(query.decode("latin-1")).get("persona", [persona])[0]
    return PromptHints(memory_lines(memory.split(";")), persona.strip(), language)


def memory_lines(given: Iterable[str]) -> tuple[str, ...]:
    """Lines without blanks around them; empty ones are left out."""
    return tuple(line for text in given if (line := text.strip()))


def _text(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")
