"""The table of the LLM API's routes and their tests in docs/api/llm-api.md, made from the tests' marks.

`python -m tests.documentation.route_table` writes it anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/api/llm-api.md"
TESTS = ROOT / "tests/services/llm_api/through_gateway"

HEADING = "## Every route and its test"
_HEAD = f"""\
{HEADING}

Each test asks its routes at the gateway, as they are and below `/llm`, with real tokens and keys and a real
PostgreSQL. They are in `{TESTS.relative_to(ROOT)}/`. This table is made by
`python -m tests.documentation.route_table` from their marks, and a test compares it with the route table.

| Route | Test |
|---|---|
"""
_ROW = re.compile(r"^\| ([A-Z]+) `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


def marked_tests() -> list[tuple[str, str]]:
    """Each route that a test is marked with, and the test's id, sorted by path."""
    found = [
        (route, f"{module.name}::{test.name}")
        for module in sorted(TESTS.glob("test_*.py"))
        for test in ast.parse(module.read_text()).body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
        for route in _marks(test)
    ]
    return sorted(found, key=lambda row: (row[0].partition(" ")[2], row))


def _marks(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.route":
            yield from map(ast.literal_eval, decorator.args)


def section() -> str:
    """The section as it should be."""
    rows = []
    for route, test in marked_tests():
        method, _, path = route.partition(" ")
        rows.append(f"| {method} `{path}` | `{test}` |\n")
    return _HEAD + "".join(rows)


def written_section() -> str:
    """The section as it is; empty without one."""
    _, heading, rest = PAGE.read_text().partition(HEADING)
    return (
        heading + re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0].rstrip("\n") + "\n"
        if heading
        else ""
    )


def listed_routes() -> list[str]:
    """The routes of the written table."""
    return [f"{method} {path}" for method, path, _ in _ROW.findall(written_section())]


def write() -> None:
    """Write the section at its place, or at the end of the page."""
    text, before = PAGE.read_text(), written_section()
    changed = text.replace(before, section()) if before else f"{text.rstrip()}\n\n{section()}"
    PAGE.write_text(changed)


if __name__ == "__main__":
    write()
