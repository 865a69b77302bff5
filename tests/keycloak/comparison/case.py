"""One request that both servers get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.keycloak.comparison.side import Side

FORGED = "eyJhbGciOiJub25lIn0.e30."
"""A token that says of itself that nobody signed it."""


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        name: What is asked, in words; unique.
        method: The HTTP method.
        path: The address.
        options: Everything else of `Side.send`.
        call: Sends it, where one plain request is not enough.
    """

    name: str
    method: str = "GET"
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    call: Callable[[Side], httpx.Response] | None = None

    def send(self, side: Side) -> httpx.Response:
        """The answer of one side."""
        if self.call is not None:
            return self.call(side)
        return side.send(self.method, self.path, **self.options)


def get(name: str, path: str, **options: Any) -> Case:
    """A request that reads."""
    return Case(name, "GET", path, options)


def post(name: str, path: str, **options: Any) -> Case:
    """A request that brings something."""
    return Case(name, "POST", path, options)
