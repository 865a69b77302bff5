"""The order in which parts start: what a part needs stands before it."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from jan_server.stack.service import Part


class NeedsCycleError(ValueError):
    """Parts need one another in a circle, so none of them can start first."""


def with_needs(chosen: Iterable[str], parts: Iterable[Part]) -> list[Part]:
    """The chosen parts and, transitively, everything that they need.

    Args:
        chosen: Names of parts.
        parts: All the parts there are; the result keeps their order.
    """
    known = {part.name: part for part in parts}
    wanted: set[str] = set()
    open_names = list(chosen)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names.extend(known[name].needs)
    return [part for name, part in known.items() if name in wanted]


def start_order(parts: Iterable[Part]) -> list[str]:
    """The names of `parts` so that each stands after those of them that it needs.

    A need that is not among `parts` is met from outside (a managed database, say) and ignored.

    Raises:
        NeedsCycleError: There is no such order; the circle is named.
    """
    parts = list(parts)
    present = {part.name for part in parts}
    graph = {part.name: [need for need in part.needs if need in present] for part in parts}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise NeedsCycleError("These services need one another: " + " → ".join(error.args[1])) from error
