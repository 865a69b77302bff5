"""The examples of `docs/clients.md` work as they stand; only the address is another one here."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Platform

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
PROGRAMS = {"python": sys.executable, "bash": shutil.which("bash") or "bash"}
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(language, example, id=f"{title} {number}")
    for title, text in SECTIONS
    for number, (language, example) in enumerate(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL), 1)
    if language in PROGRAMS
]


async def run(program: str, example: str, **environment: str) -> str:
    """What an example prints; it has to succeed."""
    process = await asyncio.create_subprocess_exec(
        program,
        "-c",
        example,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()


@pytest.mark.parametrize(("language", "example"), EXAMPLES)
async def test_an_example_works(platform: Platform, api_key: str, language: str, example: str):
    assert ADDRESS in example
    printed = await run(PROGRAMS[language], example.replace(ADDRESS, platform.gateway), JAN_API_KEY=api_key)
    assert printed.strip()
    assert '"error"' not in printed


def test_the_page_has_an_example_of_each_client():
    assert [title for title, text in SECTIONS if "```" in text] == [
        "OpenAI, Python",
        "OpenAI, JavaScript",
        "Anthropic",
        "LangChain",
        "curl",
    ]


async def test_the_key_of_the_page_is_made_and_opens_the_door(platform: Platform):
    (command,) = re.findall(r"JAN_API_KEY=\$\(jan (.+)\)", PAGE)
    key = platform.stack.must(*command.split()).strip()
    assert key.startswith("sk_live_")
    header = f"Authorization: Bearer {key}"
    assert "smollm2" in await run("bash", f"curl -sf -H '{header}' {platform.gateway}/v1/models")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed here")
async def test_the_example_in_javascript_is_javascript(tmp_path: Path):
    (example,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "example.mjs"
    file.write_text(example)
    await run("bash", f"node --check '{file}'")
