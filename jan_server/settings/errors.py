"""What is wrong with a configuration: each problem with its key, its place and the nearest valid one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: The setting or variable that is meant, as it was written.
        message: What is wrong with it.
        source: Where it stood, such as "jan.yaml line 3" or "variable HTTP_PORT"; empty if nowhere.
        suggestion: The nearest valid key or value, if there is one.
    """

    key: str
    message: str
    source: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        # What is called as its source is said once.
        source = "environment" if self.source == f"variable {self.key}" else self.source
        source = source.removesuffix(f" ({self.key})")
        place = f" ({source})" if source else ""
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{self.key}{place}: {self.message}{hint}"


class SettingsError(ValueError):
    """The configuration cannot be used.

    Attributes:
        problems: Everything that is wrong, at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, known: Iterable[str], closeness: float = 0.6) -> str:
    """Find the known word that a misspelt one most likely stands for.

    Args:
        word: What was written.
        known: What could have been meant.
        closeness: From 0 (anything) to 1 (the same word).

    Returns:
        The nearest known word; empty if none is that close.
    """
    found = get_close_matches(word, list(known), n=1, cutoff=closeness)
    return found[0] if found else ""
