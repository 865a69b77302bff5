"""Every route of the LLM API has a test through the gateway, and the table of them is true."""

from __future__ import annotations

import re
from collections import Counter

import aiohttp

from tests.documentation.llm_api_contract import MOUNTED, RECOMMENDED
from tests.documentation.route_table import listed_routes, marked_tests, section, written_section
from tests.services.llm_api.through_gateway.routes import llm_api_without_resources, real_routes


def test_the_table_is_the_one_that_the_marks_make() -> None:
    assert written_section() == section(), "run: python -m tests.documentation.route_table"


def test_every_route_has_one_test_and_no_route_is_invented(client: aiohttp.ClientSession) -> None:
    marked = Counter(route for route, _ in marked_tests())
    assert [route for route, tests in marked.items() if tests > 1] == []
    assert set(marked) == real_routes(llm_api_without_resources(client))
    assert listed_routes() == [route for route, _ in marked_tests()]


def test_every_route_of_the_contract_is_served() -> None:
    assert len(MOUNTED) == len(set(MOUNTED)) == 118

    def shape(route: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", route)

    served = {shape(route) for route in listed_routes()}
    assert [route for route in MOUNTED + RECOMMENDED if shape(route) not in served] == []
