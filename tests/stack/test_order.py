"""The start order: needs first, circles refused."""

import pytest

from jan_server.stack.order import NeedsCycleError, start_order, with_needs
from jan_server.stack.service import Child


def part(name: str, *needs: str) -> Child:
    return Child(name=name, description="", settings="", needs=needs)


def test_a_need_stands_before_what_needs_it() -> None:
    order = start_order([part("c", "b"), part("b", "a"), part("a"), part("d", "a")])
    assert order.index("a") < order.index("b") < order.index("c")
    assert order.index("a") < order.index("d")


def test_a_need_that_is_met_from_outside_is_ignored() -> None:
    assert start_order([part("b", "a")]) == ["b"]


def test_a_circle_is_named() -> None:
    with pytest.raises(NeedsCycleError, match=r"need one another: .*a.*b|.*b.*a"):
        start_order([part("a", "b"), part("b", "a")])


def test_needs_are_followed_through() -> None:
    parts = [part("a"), part("b", "a"), part("c", "b"), part("d")]
    assert [found.name for found in with_needs(["c"], parts)] == ["a", "b", "c"]
