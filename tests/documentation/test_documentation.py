"""What the documentation names exists: files, pages, headings, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from jan_cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[\s`(])jan ((?:[a-z][a-z-]*)(?: [a-z][a-z0-9|\\-]*)?)")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_to_a_file_of_the_project_leads_somewhere(page: Path):
    broken = [
        target
        for target in LINK.findall(page.read_text())
        if "://" not in target
        and not target.startswith(("#", "mailto:"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not broken


def test_every_path_on_the_map_exists():
    text = (ROOT / "docs/architecture.md").read_text()
    named = {code for code in CODE.findall(text) if "/" in code and re.fullmatch(r"[\w./<>-]+", code)}
    paths = {
        code for code in named if code.startswith(("jan_", "templates/", "profiles/", "docs/", "benchmarks/"))
    }
    assert len(paths) > 20
    missing = [path for path in sorted(paths) if "<" not in path and not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_that_a_page_names_is_one(page: Path):
    text = page.read_text()
    shown = "\n".join(re.findall(r"```(?:bash|console|sh)?\n(.*?)```", text, re.DOTALL) + CODE.findall(text))
    unknown = []
    for found in COMMAND.findall(shown):
        name, _, rest = found.partition(" ")
        if name not in COMMANDS:
            unknown.append(found)
            continue
        module = __import__(COMMANDS[name].module, fromlist=["app"])
        if not hasattr(module, "app"):
            continue
        group = get_command(module.app)
        known = set(getattr(group, "commands", {}))
        unknown += [
            f"{name} {one}" for one in rest.replace("\\", "").split("|") if one and known and one not in known
        ]
    assert not unknown


def test_every_command_is_in_the_reference():
    reference = (ROOT / "docs/cli.md").read_text()
    assert [name for name in COMMANDS if f"jan {name}" not in reference] == []


def test_every_target_of_the_makefile_is_documented_and_short():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z0-9-]*):.*?(## .+)?$", makefile, re.MULTILINE)
    assert {"run", "test", "quickstart", "up-full", "down", "down-clean", "lint", "fmt", "bench"} <= {
        t for t, _ in targets
    }
    assert all(comment for _, comment in targets)
