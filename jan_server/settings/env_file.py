"""The .env file: read with line numbers, changed line by line, comments and order kept."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dotenv.parser import Binding, parse_stream

from jan_server.settings.errors import Problem, SettingsError

# What needs no quotes, in a shell, for Docker and for dotenv alike.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=?&~^{}\[\]-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class EnvLine:
    """One variable of the file.

    Attributes:
        name: Its name.
        value: Its value, without quotes.
        line: The number of its line, from 1.
    """

    name: str
    value: str
    line: int


def read_env(text: str, label: str = ".env") -> list[EnvLine]:
    """Read the variables of an env file in their order; nothing is interpolated, `$` is only a character.

    Args:
        text: The file's content.
        label: What the file is called in messages.

    Raises:
        SettingsError: A line is neither a variable nor a comment.
    """
    found: list[EnvLine] = []
    problems: list[Problem] = []
    for binding in parse_stream(io.StringIO(text)):
        line = _line_of(binding)
        if binding.error:
            written = binding.original.string.strip().splitlines()[0].split("=")[0][:40]
            problems.append(Problem(written, "is not of the form NAME=value", f"{label} line {line}"))
        elif binding.key is not None and binding.value is not None:
            found.append(EnvLine(binding.key, binding.value, line))
    if problems:
        raise SettingsError(problems)
    return found


def change_env(text: str, changes: Mapping[str, str | None]) -> str:
    """Set and remove variables in the content of an env file.

    A variable keeps its place and the comment at the end of its line; a new one stands at the end. When
    a name occurs several times, only its last occurrence counts and all others are removed.

    Args:
        text: The file's content.
        changes: The new values by name; None removes the variable.

    Raises:
        ValueError: A name or a value cannot stand in an env file.
    """
    for name, value in changes.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name of a variable: {name!r}")
        if value is not None and "\0" in value:
            raise ValueError(f"{name}: a value cannot hold a NUL character")
    bindings = list(parse_stream(io.StringIO(text)))
    last = {binding.key: index for index, binding in enumerate(bindings) if binding.key}
    parts: list[str] = []
    for index, binding in enumerate(bindings):
        if binding.key is None or binding.key not in changes:
            parts.append(binding.original.string)
            continue
        new = changes[binding.key]
        if new is None or index != last[binding.key]:
            continue
        parts.append(_replaced(binding, new))
    written = "".join(parts)
    for name, new in changes.items():
        if new is not None and name not in last:
            written += "" if not written or written.endswith("\n") else "\n"
            written += f"{name}={quoted(new)}\n"
    return written


def quoted(value: str) -> str:
    """Write a value so that the reader gives it back; without quotes where none are needed."""
    if not value or _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _line_of(binding: Binding) -> int:
    """Number the line on which the name stands; the parser counts blank lines before it as its own."""
    lead = re.match(r"\s*", binding.original.string)
    return binding.original.line + (lead[0].count("\n") if lead else 0)


def _replaced(binding: Binding, value: str) -> str:
    original = binding.original.string
    head = re.match(r"\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=\#\s]+)[^\S\r\n]*=?[^\S\r\n]*", original)
    lead = head[0] if head else f"{binding.key}="
    if not lead.rstrip(" \t").endswith("="):
        lead = lead.rstrip(" \t") + "="
    rest = original[len(lead) :] if head else "\n"
    comment = re.search(
        r"""^(?:'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|[^\r\n]*?)([^\S\r\n]+\#[^\r\n]*)?(\r\n|\n|\r|$)""", rest
    )
    tail = f"{comment[1] or ''}{comment[2]}" if comment else "\n"
    return f"{lead}{quoted(value)}{tail}"
