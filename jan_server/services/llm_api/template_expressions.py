"""What stands between the braces of a prompt text: names, values and the few functions on them.

The words of an action become closures over the values that a template is given; nothing else can
be reached from them (see `template_text`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 32
"""How deep blocks and parentheses may be nested."""

KEYWORDS = frozenset({"if", "else", "end", "range", "with"})

_NOT_SUPPORTED = frozenset({"define", "template", "block", "break", "continue", "call", "index", "printf"})
_LONGEST_NUMBER = 18
_WORD = re.compile(
    r"""\s*(?:
        (?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<number>-?\d+(?![\w.]))
      | (?P<path>\$?\w*(?:\.\w+)+|\$\w*|\.|\w+)
      | (?P<mark>:=|[,()])
    )""",
    re.VERBOSE,
)


class TemplateError(ValueError):
    """A text is no template, or cannot be filled.

    Attributes:
        line: Where, counted from 1; 0 when it shows only while the text is filled.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Scope:
    """What names stand for at one place of a template.

    Attributes:
        dot: What `.` is: the given values, or the element of a `range` or the value of a `with`.
        variables: What begins with `$`, by its name.
    """

    dot: Any
    variables: Mapping[str, Any]


Expression = Callable[[Scope], Any]

_FUNCTIONS: Mapping[str, tuple[int, int | None, Callable[..., Any]]] = {
    "not": (1, 1, lambda value: not value),
    "and": (1, None, lambda *values: next((value for value in values if not value), values[-1])),
    "or": (1, None, lambda *values: next((value for value in values if value), values[-1])),
    "eq": (2, None, lambda first, *others: any(first == other for other in others)),
    "ne": (2, 2, lambda first, second: first != second),
    "len": (1, 1, lambda value: len(value) if isinstance(value, str | Sequence | Mapping) else 0),
}
"""Each function with the fewest and the most values that it takes."""


@dataclass(slots=True)
class Words:
    """The words of one action, read from left to right.

    Attributes:
        line: Where the action stands.
        first: The keyword that the action begins with, once it was read; else empty.
    """

    text: str
    line: int
    first: str = ""
    _words: list[tuple[str, str]] = field(init=False)
    _position: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._words = []
        position = 0
        while position < len(self.text):
            found = _WORD.match(self.text, position)
            if found is None or found.lastgroup is None:
                raise TemplateError(f"{self.text[position:].strip()[:20]!r} is not understood", self.line)
            self._words.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()

    def keyword(self) -> str:
        """The next word when it is a keyword, which is taken off then; else an empty text."""
        kind, word = self._next()
        if kind != "path" or word not in KEYWORDS:
            return ""
        self._position += 1
        self.first = self.first or word
        return word

    def variables(self) -> tuple[str, ...]:
        """The names in front of `:=`; none when there is no such sign."""
        if ("mark", ":=") not in self._words:
            return ()
        end = self._words.index(("mark", ":="))
        names = [word for kind, word in self._words[self._position : end] if (kind, word) != ("mark", ",")]
        if not 1 <= len(names) <= 2 or not all(re.fullmatch(r"\$\w+", name) for name in names):
            raise TemplateError("`:=` needs one or two names such as $element before it", self.line)
        self._position = end + 1
        return tuple(names)

    def only_expression(self) -> Expression:
        """The rest of the action, which has to be one expression."""
        expression = self._expression(depth=0)
        self.finished()
        return expression

    def finished(self) -> None:
        """Check that nothing is left."""
        if self._position < len(self._words):
            raise TemplateError(f"{self._next()[1]!r} is not expected here", self.line)

    def _next(self) -> tuple[str, str]:
        return self._words[self._position] if self._position < len(self._words) else ("", "")

    def _expression(self, depth: int) -> Expression:
        kind, word = self._next()
        if kind != "path" or word not in _FUNCTIONS:
            return self._operand(depth)
        self._position += 1
        arguments: list[Expression] = []
        while self._next()[0] and self._next()[1] != ")":
            arguments.append(self._operand(depth))
        fewest, most, function = _FUNCTIONS[word]
        if len(arguments) < fewest or (most is not None and len(arguments) > most):
            raise TemplateError(f"`{word}` does not take {len(arguments)} values", self.line)
        return lambda scope: function(*(argument(scope) for argument in arguments))

    def _operand(self, depth: int) -> Expression:
        kind, word = self._next()
        self._position += 1
        if word == "(" and depth < DEEPEST:
            inner = self._expression(depth + 1)
            if self._next()[1] != ")":
                raise TemplateError("a parenthesis is not closed", self.line)
            self._position += 1
            return inner
        if kind == "path" and word not in ("true", "false"):
            return self._path(word)
        constant = self._constant(kind, word)
        return lambda scope: constant

    def _constant(self, kind: str, word: str) -> str | int | bool:
        if kind == "path":
            return word == "true"
        if kind == "number" and len(word) <= _LONGEST_NUMBER:
            return int(word)
        if kind != "text":
            raise TemplateError(f"a value is expected{f' instead of {word!r}' if word else ''}", self.line)
        if word.startswith("`"):
            return word[1:-1]
        try:
            return str(json.loads(word))
        except ValueError as failure:
            raise TemplateError(f"{word} is no text: {failure}", self.line) from failure

    def _path(self, word: str) -> Expression:
        head, *names = word.split(".")
        if head in _NOT_SUPPORTED or head in _FUNCTIONS or head in KEYWORDS:
            raise TemplateError(f"`{head}` is not supported here", self.line)
        if head.startswith("$"):
            return lambda scope: _looked_up(scope.variables.get(head), names)
        # A name without its dot is what authors who know other languages write.
        names = [name for name in (head, *names) if name]
        return lambda scope: _looked_up(scope.dot, names)


def _looked_up(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
