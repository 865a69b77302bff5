"""Reads what a model answers to prompted tools, while it grows: a plain answer or a call of a tool.

The forms are `{"answer": …}` and `{"tool": "<name>", "arguments": {…}}`, as `prompted_tools.py`
asks for them. What has neither form, as from a provider that does not keep to schemas, counts as
a plain answer as it stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Form = Literal["unknown", "answer", "call", "other"]

_DECODER = json.JSONDecoder()
_LONGEST_BEGINNING = 4096
"""Characters up to the arguments: a beginning that is longer is none of ours."""

_LONGEST_ESCAPE = 12
"""Characters of `\\ud83d\\ude00`: what a cut may leave behind of one character."""


@dataclass(frozen=True, slots=True)
class PromptedTools:
    """How the answer to a prompted request is to be read.

    Attributes:
        names: The tools that may be called.
        may_answer: Whether a plain answer is allowed beside a call.
        answers_in_json: Whether a plain answer is a JSON value rather than a text.
    """

    names: frozenset[str]
    may_answer: bool
    answers_in_json: bool = False


class AnswerReader:
    """Reads one answer, wherever it is cut into pieces.

    Args:
        reading: What may be answered.

    Attributes:
        form: What the answer is, once that can be told.
        name: The tool that is called.
        complete: Whether the plain answer or the arguments of the call came to their end.
    """

    def __init__(self, reading: PromptedTools) -> None:
        self.form: Form = "unknown"
        self.name = ""
        self.complete = False
        self._reading = reading
        self._beginning = ""
        self._is_text = False
        self._in_string = False
        self._escaped = False
        self._depth = 0
        self._rest = ""

    def feed(self, piece: str) -> str:
        """Take the next piece of the answer; returns what it adds to the plain answer or the arguments."""
        if self.form == "unknown":
            self._beginning += piece
            piece = self._recognise()
        if self.form == "unknown" or self.complete:
            return ""
        if self.form == "other":
            return piece
        value = self._value(piece)
        return self._unescaped(value) if self._is_text else value

    def end(self, *, cut: bool) -> str:
        """What is still to be said once the answer has ended.

        Args:
            cut: Whether it was cut off by a limit; the beginning of a form is then nothing to show.
        """
        if self.form != "unknown":
            return ""
        held, self._beginning = self._beginning, ""
        if cut and held.lstrip().startswith("{"):
            return ""
        self.form = "other"
        return held

    def _recognise(self) -> str:
        """Find out the form as soon as the beginning says it; returns what belongs to its value."""
        text = self._beginning
        if (start := _skip(text, 0)) == len(text):
            return ""
        try:
            member, at = _DECODER.raw_decode(text, _skip(text, _after(text, start, "{")))
            value_at = _begin_of_value(text, at)
            if member == "answer" and self._reading.may_answer:
                return self._begin_answer(text, value_at)
            if member != "tool":
                return self._begin_other(text)
            name, at = _DECODER.raw_decode(text, value_at)
            if name not in self._reading.names:
                return self._begin_other(text)
            member, at = _DECODER.raw_decode(text, _skip(text, _after(text, at, ",")))
            value_at = _begin_of_value(text, at)
            if member != "arguments" or text[value_at] != "{":
                return self._begin_other(text)
        except _Incomplete:
            return self._begin_other(text) if len(text) > _LONGEST_BEGINNING else ""
        except json.JSONDecodeError:
            # Either it is not whole yet, or it is nothing that was asked for.
            return "" if _may_go_on(text, start) else self._begin_other(text)
        except _Different:
            return self._begin_other(text)
        self.form, self.name, self._beginning = "call", name, ""
        return text[value_at:]

    def _begin_answer(self, text: str, value_at: int) -> str:
        self._is_text = not self._reading.answers_in_json
        if self._is_text:
            if text[value_at] != '"':
                return self._begin_other(text)
            value_at += 1
            self._in_string = True
        self.form, self._beginning = "answer", ""
        return text[value_at:]

    def _begin_other(self, text: str) -> str:
        self.form, self._beginning = "other", ""
        return text

    def _value(self, piece: str) -> str:
        """What of `piece` still belongs to the value."""
        for at, character in enumerate(piece):
            if self._in_string:
                self._step_in_string(character)
                if self._is_text and not self._in_string:
                    self.complete = True
                    return piece[:at]
                ended = not self._in_string and self._depth == 0
            else:
                if self._depth == 0 and character in ",}":
                    # A number or a word, which only the next character ends.
                    self.complete = True
                    return piece[:at].rstrip()
                ended = self._step(character)
            if ended:
                self.complete = True
                return piece[: at + 1]
        return piece

    def _step_in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False

    def _step(self, character: str) -> bool:
        """Go on by a character outside strings; says whether it closes the value."""
        if character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth == 0
        return False

    def _unescaped(self, raw: str) -> str:
        """The text of a piece of a JSON string; an escape that is cut is kept for the next piece."""
        whole = self._rest + raw
        if "\\" not in whole:
            return whole
        for kept in range(min(_LONGEST_ESCAPE, len(whole)) + 1):
            try:
                text = json.loads(f'"{whole[: len(whole) - kept]}"', strict=False)
            except json.JSONDecodeError:
                continue
            if not self.complete and text and "\ud800" <= text[-1] <= "\udbff":
                continue
            self._rest = whole[len(whole) - kept :]
            # A half of a pair alone cannot be sent.
            return str(text).encode("utf-8", "replace").decode()
        self._rest = ""
        return whole


class _Incomplete(Exception):
    """The text ends before it can be told."""


class _Different(Exception):
    """Something else stands where a mark was expected."""


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _after(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if at == len(text):
        raise _Incomplete
    if text[at] != mark:
        raise _Different
    return at + 1


def _begin_of_value(text: str, at: int) -> int:
    """Where the value of a member begins whose name ends at `at`."""
    at = _skip(text, _after(text, at, ":"))
    if at == len(text):
        raise _Incomplete
    return at


def _may_go_on(text: str, start: int) -> bool:
    """Whether a beginning that is no JSON yet may become one of the forms."""
    if len(text) > _LONGEST_BEGINNING:
        return False
    # A string or another value that is cut off leaves nothing behind it but its own beginning.
    at = _skip(text, start + 1)
    return at == len(text) or text[at] == '"'
