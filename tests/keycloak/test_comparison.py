"""Both servers get the same requests, and answer alike but for the differences that are meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.identity.server import IdentityServer
from tests.keycloak.comparison import admin_cases, protocol_cases
from tests.keycloak.comparison.answers import differences, shown, table
from tests.keycloak.comparison.case import Case
from tests.keycloak.comparison.deliberate import DELIBERATE, LEFT_OUT, expected
from tests.keycloak.comparison.side import Side

DOCUMENT = Path(__file__).parents[2] / "docs" / "identity.md"
CASES = (*protocol_cases.CASES, *admin_cases.CASES)
HEAD = "| | Keycloak 26 | Embedded issuer | Why |"


@pytest.fixture(scope="module")
def keycloak(identity_server: IdentityServer) -> Side:
    return Side(identity_server)


@pytest.fixture(scope="module")
def embedded(embedded_server: IdentityServer) -> Side:
    return Side(embedded_server)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_answer_alike(keycloak: Side, embedded: Side, case: Case) -> None:
    for side in (keycloak, embedded):
        side.begin(CASES.index(case))
    found = differences(table(keycloak, case.send(keycloak)), table(embedded, case.send(embedded)))
    meant = expected(case.name)
    assert _summed_up(found, meant) == meant, f"not as `comparison/deliberate.py` says:\n{shown(found)}"


def _summed_up(found: Mapping[str, tuple[Any, Any]], meant: frozenset[str]) -> set[str]:
    """The rows that differ; those that only Keycloak has as one, where that is meant."""
    if LEFT_OUT not in meant:
        return set(found)
    left_out = {row for row, (_, embedded) in found.items() if embedded is None}
    return {row for row in found if row not in left_out} | ({LEFT_OUT} if left_out else set())


def test_the_document_lists_the_differences_that_are_meant() -> None:
    below = DOCUMENT.read_text().partition(HEAD)[2].strip().partition("\n\n")[0]
    rows = below.splitlines()[1:]
    assert rows == [difference.line() for difference in DELIBERATE]


def test_each_difference_is_shown_by_a_case() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    for difference in DELIBERATE:
        assert difference.elsewhere or difference.rows, difference.situation
        assert set(difference.rows) <= set(names), difference.situation
