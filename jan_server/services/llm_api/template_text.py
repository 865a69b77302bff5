"""Prompt texts with variables, in the part of Go's template language that prompts need.

Templates are written by administrators and filled with what users say about themselves, so a
template can reach nothing but the values it is given: no attributes, no methods, no files. What
is understood:

* `{{.Name}}`, `{{.Outer.Inner}}`, `{{.}}` (the element of a `range` or the value of a `with`),
  `{{$.Name}}` (from the outermost values); `{{Name}}` is read as `{{.Name}}`,
* `{{if .A}} … {{else if .B}} … {{else}} … {{end}}`,
* `{{range .List}} … {{else}} … {{end}}`, also `{{range $index, $element := .List}}`,
* `{{with .A}} … {{else}} … {{end}}`,
* `not`, `and`, `or`, `eq`, `ne`, `len`, with parentheses; texts in quotes, whole numbers,
  `true`, `false`,
* `{{- … -}}`, which takes the blanks before or behind away, and `{{/* a remark */}}`.

A value that is missing is empty (Go writes `<no value>`); lists and objects are written as JSON.
Source: Go's package text/template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from jan_server.services.llm_api.template_expressions import (
    DEEPEST,
    Expression,
    Scope,
    TemplateError,
    Words,
)

MAXIMUM_CHARACTERS = 200_000
"""How long a filled text may become."""

MAXIMUM_STEPS = 100_000
"""How many parts may be written or looked at while a text is filled."""

# Every alternative begins differently, so that no text makes the search slow.
_ACTION = re.compile(
    r"""\{\{(?P<trim>-(?=\s))?
        (?P<inside>(?:(?>/\*.*?\*/)|"(?:\\.|[^"\\\n])*"|`[^`]*`|[^"`}/]|/(?!\*)|\}(?!\}))*)
        \}\}""",
    re.DOTALL | re.VERBOSE,
)
_REMARK = re.compile(r"\s*/\*.*?\*/\s*", re.DOTALL)
_TRIM_BEHIND = re.compile(r"\s-\Z")


@dataclass(slots=True)
class _Writer:
    """Collects the filled text, within limits."""

    parts: list[str] = field(default_factory=list)
    characters: int = 0
    steps: int = 0

    def write(self, text: str) -> None:
        self.characters += len(text)
        if self.characters > MAXIMUM_CHARACTERS:
            raise TemplateError(f"the filled text is longer than {MAXIMUM_CHARACTERS} characters")
        self.parts.append(text)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAXIMUM_STEPS:
            raise TemplateError(f"filling the text takes more than {MAXIMUM_STEPS} steps")


_Node = Callable[[Scope, _Writer], None]
_Nodes = tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A parsed text.

    Attributes:
        source: As it was written.
    """

    source: str
    _nodes: _Nodes

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with these values in place, blanks at both ends removed.

        Raises:
            TemplateError: It grows too long, or takes too many steps.
        """
        writer = _Writer()
        _run(self._nodes, Scope(values, {"$": values}), writer)
        return "".join(writer.parts).strip()


def parse_template(source: str) -> TemplateText:
    """Parse a text.

    Raises:
        TemplateError: It is no template; the message names the line and what is wrong there.
    """
    nodes, _ = _Reader(list(_pieces(source))).block(depth=0, line=0)
    return TemplateText(source, nodes)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of plain text, or the inside of one action."""

    text: str
    is_action: bool
    line: int


def _pieces(source: str) -> Iterator[_Piece]:
    position, line, strip = 0, 1, False
    while (start := source.find("{{", position)) >= 0:
        plain = source[position:start]
        line += plain.count("\n")
        found = _ACTION.match(source, start)
        if found is None:
            raise TemplateError("{{ is not closed by }}", line)
        plain = plain.lstrip() if strip else plain
        yield _Piece(plain.rstrip() if found["trim"] else plain, False, line)
        inside = found["inside"]
        strip = _TRIM_BEHIND.search(inside) is not None
        inside = inside[:-1] if strip else inside
        if not _REMARK.fullmatch(inside):
            yield _Piece(inside.strip(), True, line)
        line += found[0].count("\n")
        position = found.end()
    rest = source[position:]
    yield _Piece(rest.lstrip() if strip else rest, False, line)


@dataclass(slots=True)
class _Reader:
    """Makes nodes of pieces, from the first to the last."""

    pieces: list[_Piece]
    position: int = 0

    def block(self, depth: int, line: int) -> tuple[_Nodes, Words]:
        """The nodes up to an `else` or `end`, and that action; the outermost block ends with the text."""
        if depth > DEEPEST:
            raise TemplateError(f"blocks are nested deeper than {DEEPEST} levels", line)
        nodes: list[_Node] = []
        while self.position < len(self.pieces):
            piece = self.pieces[self.position]
            self.position += 1
            if not piece.is_action:
                if piece.text:
                    nodes.append(_plain(piece.text))
                continue
            words = Words(piece.text, piece.line)
            keyword = words.keyword()
            if keyword in ("else", "end"):
                if depth == 0:
                    raise TemplateError(f"{{{{{keyword}}}}} has no beginning", piece.line)
                return tuple(nodes), words
            nodes.append(self._node(keyword, words, depth))
        if depth:
            raise TemplateError("this block has no {{end}}", line)
        return tuple(nodes), Words("", line)

    def _node(self, keyword: str, words: Words, depth: int) -> _Node:
        if keyword == "if":
            return self._if(words, depth)
        if keyword == "range":
            names = words.variables()
            return _range(words.only_expression(), names, *self._body(words, depth))
        if keyword == "with":
            return _with(words.only_expression(), *self._body(words, depth))
        return _written(words.only_expression())

    def _if(self, words: Words, depth: int) -> _Node:
        condition = words.only_expression()
        body, closing = self.block(depth + 1, words.line)
        if closing.first == "else" and closing.keyword() == "if":
            return _if(condition, body, (self._if(closing, depth + 1),))
        return _if(condition, body, self._otherwise(closing, words, depth))

    def _body(self, words: Words, depth: int) -> tuple[_Nodes, _Nodes]:
        body, closing = self.block(depth + 1, words.line)
        return body, self._otherwise(closing, words, depth)

    def _otherwise(self, closing: Words, words: Words, depth: int) -> _Nodes:
        """What follows the `else` that closed a block; nothing when it was its `end`."""
        closing.finished()
        if closing.first == "end":
            return ()
        otherwise, end = self.block(depth + 1, words.line)
        if end.first != "end":
            raise TemplateError("this block has more than one {{else}}", words.line)
        end.finished()
        return otherwise


def _run(nodes: _Nodes, scope: Scope, writer: _Writer) -> None:
    for node in nodes:
        writer.step()
        node(scope, writer)


def _plain(text: str) -> _Node:
    return lambda scope, writer: writer.write(text)


def _written(expression: Expression) -> _Node:
    return lambda scope, writer: writer.write(_shown(expression(scope)))


def _if(condition: Expression, body: _Nodes, otherwise: _Nodes) -> _Node:
    return lambda scope, writer: _run(body if condition(scope) else otherwise, scope, writer)


def _with(value: Expression, body: _Nodes, otherwise: _Nodes) -> _Node:
    def run(scope: Scope, writer: _Writer) -> None:
        found = value(scope)
        if found:
            _run(body, Scope(found, scope.variables), writer)
        else:
            _run(otherwise, scope, writer)

    return run


def _range(listed: Expression, names: Sequence[str], body: _Nodes, otherwise: _Nodes) -> _Node:
    def run(scope: Scope, writer: _Writer) -> None:
        found = listed(scope)
        if not found or not isinstance(found, list | tuple | Mapping):
            _run(otherwise, scope, writer)
            return
        for key, element in sorted(found.items()) if isinstance(found, Mapping) else enumerate(found):
            writer.step()
            values = (key, element) if len(names) > 1 else (element,)
            named = dict(zip(names, values, strict=False))
            _run(body, Scope(element, {**scope.variables, **named}), writer)

    return run


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
