"""Lists of changes as the two transformer plugins write them: `name`, `old:new`, `name:value`.

Kong's value templates are Lua. Of those the ones that only look something up are executed,
`$(headers.name)`, `$(query_params.name)` and `$(uri_captures.name)` (also `["name"]` and
`[1]`); anything else is refused when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from jan_server.gateway.fields import Fields

Lookup = Callable[[str, str], str]
"""Gives the value of a place (`headers`, `query_params`, `uri_captures`) and a name, or an empty text."""

_TEMPLATE = re.compile(r"\$\(([^()]*)\)")
_EXPRESSION = re.compile(
    r"""\s*(headers|query_params|uri_captures)
        (?:\.([A-Za-z_][A-Za-z0-9_]*) | \["([^"]+)"\] | \['([^']+)'\] | \[(\d+)\])\s*\Z""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Value:
    """A value with places to fill in: texts and (place, name) pairs, in order."""

    parts: tuple[str | tuple[str, str], ...]

    def filled(self, lookup: Lookup) -> str:
        """The value for one request."""
        return "".join(part if isinstance(part, str) else lookup(*part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes to one kind of thing (headers, query, body), in the order in which Kong makes them."""

    remove: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    replace: tuple[tuple[str, Value], ...] = ()
    add: tuple[tuple[str, Value], ...] = ()
    append: tuple[tuple[str, Value], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return bool(self.remove or self.rename or self.replace or self.add or self.append)


OPERATIONS = ("remove", "rename", "replace", "add", "append")


def read_changes(sections: Mapping[str, Fields], kind: str, *, templates: bool) -> Changes:
    """Read `<operation>.<kind>` of every operation.

    Args:
        sections: The mapping of each operation that is there.
        kind: `headers`, `querystring`, `body` or `json`.
        templates: Whether `$(…)` is a place to fill in.
    """
    found: dict[str, Any] = {}
    for operation, fields in sections.items():
        entries = fields.texts(kind)
        if operation == "remove":
            found[operation] = tuple(entry.removesuffix(":") for entry in entries)
            continue
        pairs = []
        for index, entry in enumerate(entries):
            name, separator, text = entry.partition(":")
            if not separator or not name or (operation == "rename" and not text):
                form = "old:new" if operation == "rename" else "name:value"
                raise fields.error(f"{kind}[{index}]", f"{entry!r} is not of the form {form}")
            place = f"{kind}[{index}]"
            pairs.append(
                (name, text if operation == "rename" else read_value(fields, place, text, templates))
            )
        found[operation] = tuple(pairs)
    return Changes(**found)


def read_value(fields: Fields, place: str, text: str, templates: bool) -> Value:
    """Read a value, which may have places to fill in."""
    if not templates or "$(" not in text:
        return Value((text,))
    parts: list[str | tuple[str, str]] = []
    end = 0
    for found in _TEMPLATE.finditer(text):
        expression = _EXPRESSION.match(found[1])
        if expression is None:
            words = f"not supported: $({found[1]}); use headers, query_params or uri_captures and a name"
            raise fields.error(place, words)
        name = next(group for group in expression.groups()[1:] if group is not None)
        parts += [text[end : found.start()], (expression[1], name)]
        end = found.end()
    if "$(" in text[end:]:
        raise fields.error(place, "not supported: only plain look-ups may stand in $(…)")
    return Value((*parts, text[end:]))


def change_pairs(pairs: Sequence[tuple[str, str]], changes: Changes, lookup: Lookup) -> list[tuple[str, str]]:
    """Change a list of names and values, such as a query or a form."""
    result = [pair for pair in pairs if pair[0] not in changes.remove]
    for old, new in changes.rename:
        result = [(new if name == old else name, value) for name, value in result]
    for name, value in changes.replace:
        if any(known == name for known, _ in result):
            result = [
                *((known, text) for known, text in result if known != name),
                (name, value.filled(lookup)),
            ]
    for name, value in changes.add:
        if not any(known == name for known, _ in result):
            result.append((name, value.filled(lookup)))
    result += [(name, value.filled(lookup)) for name, value in changes.append]
    return result


def change_form(body: bytes, changes: Changes, lookup: Lookup) -> bytes:
    """Change a form-encoded text."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return urlencode(change_pairs(pairs, changes, lookup)).encode()


def change_object(
    body: bytes, changes: Changes, lookup: Lookup, cast: Callable[[str, int, str], Any] | None = None
) -> bytes:
    """Change the members of a JSON object; anything else stays as it is.

    Args:
        body: The JSON text; an empty one counts as an empty object.
        changes: What to change.
        lookup: Fills in values.
        cast: Makes a JSON value of operation, index and text; None keeps texts.
    """
    try:
        value = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        return body
    if not isinstance(value, dict):
        return body

    def made(operation: str, index: int, wanted: Value) -> Any:
        text = wanted.filled(lookup)
        return cast(operation, index, text) if cast else text

    for name in changes.remove:
        value.pop(name, None)
    for old, new in changes.rename:
        if old in value:
            value[new] = value.pop(old)
    for index, (name, wanted) in enumerate(changes.replace):
        if name in value:
            value[name] = made("replace", index, wanted)
    for index, (name, wanted) in enumerate(changes.add):
        if name not in value:
            value[name] = made("add", index, wanted)
    for index, (name, wanted) in enumerate(changes.append):
        known = value.get(name, [])
        value[name] = [*(known if isinstance(known, list) else [known]), made("append", index, wanted)]
    return orjson.dumps(value)
