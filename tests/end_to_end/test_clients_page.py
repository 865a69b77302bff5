"""The examples of `docs/clients.md` work as they stand; only the address is another one here."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Platform

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
LANGUAGES = ("python", "bash")
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(language, example, id=f"{title} {number}")
    for title, text in SECTIONS
    for number, (language, example) in enumerate(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL), 1)
    if language in LANGUAGES
]


def run(command: str) -> str:
    """What a command of the shell prints; it has to succeed."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "example"), EXAMPLES)
async def test_an_example_works(
    platform: Platform,
    api_key: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    language: str,
    example: str,
):
    assert ADDRESS in example
    monkeypatch.setenv("JAN_API_KEY", api_key)
    here = example.replace(ADDRESS, platform.gateway)
    if language == "python":
        # In this process, which has imported the packages already: that takes longer than the rest.
        await asyncio.to_thread(exec, compile(here, f"{language} example", "exec"), {"__name__": "__main__"})
        printed = capsys.readouterr().out
    else:
        printed = await asyncio.to_thread(run, here)
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
    listed = await asyncio.to_thread(run, f"curl -sf -H '{header}' {platform.gateway}/v1/models")
    assert "smollm2" in listed


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed here")
def test_the_example_in_javascript_is_javascript(tmp_path: Path):
    (example,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "example.mjs"
    file.write_text(example)
    run(f"node --check '{file}'")
