"""Reads typed values out of a mapping of the Kong file; every error names its place in the file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any


class KongFileError(ValueError):
    """The Kong file says something that cannot be executed.

    Attributes:
        path: The place in the file, for example `services[2].routes[0].plugins[1].config.minute`.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path


class Fields:
    """One mapping of the file. Each field is taken once; `end` refuses what was not taken.

    A field whose value is null counts as absent, as in Kong.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            raise KongFileError(path, f"a mapping is expected here, not {_kind(value)}")
        self.path = path
        self._values = {str(name): item for name, item in value.items()}
        self._known: set[str] = set()

    def place(self, name: str) -> str:
        """The path of a field of this mapping."""
        return f"{self.path}.{name}" if self.path else name

    def error(self, name: str, problem: str) -> KongFileError:
        """An error about a field of this mapping."""
        return KongFileError(self.place(name), problem)

    def take(self, name: str) -> Any:
        """The raw value of a field, None when it is absent."""
        self._known.add(name)
        return self._values.get(name)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str, default: str = "", *, one_of: Collection[str] = ()) -> str:
        """A text."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"a text is expected here, not {_kind(value)}")
        if one_of and value not in one_of:
            raise self.error(name, f"{value!r} is not supported here; use {_either(one_of)}")
        return value

    def required_text(self, name: str) -> str:
        """A text that must be there and not empty."""
        value = self.text(name)
        if not value:
            raise self.error(name, "a text is required here")
        return value

    def number(self, name: str, default: float, *, above: float | None = None) -> float:
        """A number; with `above`, greater than that."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, f"a number is expected here, not {_kind(value)}")
        if above is not None and value <= above:
            raise self.error(name, f"{value} must be greater than {above:g}")
        return value

    def whole(self, name: str, default: int, *, least: int = 0, most: int = 2**31 - 2) -> int:
        """A whole number from `least` to `most`."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"a whole number is expected here, not {_kind(value)}")
        if not least <= value <= most:
            raise self.error(name, f"{value} is out of range; use {least} to {most}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"true or false is expected here, not {_kind(value)}")
        return value

    def texts(
        self, name: str, default: tuple[str, ...] = (), *, one_of: Collection[str] = ()
    ) -> tuple[str, ...]:
        """A list of texts; numbers count as text, for YAML reads an unquoted 80 as a number."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, list):
            raise self.error(name, f"a list of texts is expected here, not {_kind(value)}")
        found = []
        for index, item in enumerate(value):
            if isinstance(item, bool) or not isinstance(item, str | int | float):
                raise self.error(f"{name}[{index}]", f"a text is expected here, not {_kind(item)}")
            if one_of and str(item) not in one_of:
                raise self.error(f"{name}[{index}]", f"{item!r} is not supported here; use {_either(one_of)}")
            found.append(str(item))
        return tuple(found)

    def section(self, name: str) -> Fields | None:
        """A mapping inside this one, None when it is absent."""
        value = self.take(name)
        return None if value is None else Fields(value, self.place(name))

    def sections(self, name: str) -> list[Fields]:
        """A list of mappings."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(name, f"a list is expected here, not {_kind(value)}")
        return [Fields(item, self.place(f"{name}[{index}]")) for index, item in enumerate(value)]

    def reference(self, name: str) -> str:
        """The name or id of another entity, written as a text or as `{name: …}` or `{id: …}`."""
        value = self.take(name)
        if isinstance(value, Mapping):
            inner = Fields(value, self.place(name))
            found = inner.text("name") or inner.text("id") or inner.text("username")
            inner.end()
            value = found or None
            if value is None:
                raise self.error(name, "a name or an id is expected here")
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(name, f"a name or an id is expected here, not {_kind(value)}")
        return value

    def refuse(self, *names: str, reason: str) -> None:
        """Refuse fields that Kong knows and this gateway does not execute, when they are set."""
        for name in names:
            if self.has(name):
                raise self.error(name, f"not supported: {reason}")
            self._known.add(name)

    def end(self) -> None:
        """Refuse the first field that nobody took.

        Raises:
            KongFileError: Always with the nearest known name, where there is one.
        """
        for name in self._values:
            if name not in self._known:
                nearest = difflib.get_close_matches(name, sorted(self._known), 1)
                hint = (
                    f"did you mean {nearest[0]!r}?"
                    if nearest
                    else f"known here: {', '.join(sorted(self._known))}"
                )
                raise self.error(name, f"unknown field; {hint}")


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "a mapping"


def _either(words: Collection[str]) -> str:
    return " or ".join(sorted(words)) if len(words) < 3 else "one of " + ", ".join(sorted(words))
