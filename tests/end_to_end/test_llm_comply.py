"""The tool `llm-comply` finds nothing wrong: all its cases, and with the built-in model what that can do."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.openai_upstream import CapableModel
from tests.end_to_end.conftest import REASONING_MODELS, Platform

FORMATS: dict[str, list[str]] = {
    "openai-chat": [],
    "anthropic": ["--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01"],
}
CASES = 9
PREFIXES = {"openai-chat": "chat", "anthropic": "anth"}
BUILT_IN_CASES = ("basic-response", "tool-calling", "streaming-usage", "error-handling")


async def comply(platform: Platform, key: str, model: str, kind: str, *options: str) -> list[dict[str, Any]]:
    """Run the tool; what it says of each case."""
    command = [str(Path(sys.executable).with_name("llm-comply")), "-u", f"{platform.gateway}/v1", "-k", key]
    command += ["-m", model, "--format", kind, "--json", *FORMATS[kind], *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    results: list[dict[str, Any]] = json.loads(output)["results"]
    return results


def complaints(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What the tool has against each case that did not pass."""
    return {
        case["id"]: (case["status"], case.get("errors")) for case in results if case["status"] != "passed"
    }


@pytest.mark.parametrize(("kind", "name"), list(zip(FORMATS, REASONING_MODELS, strict=True)))
async def test_every_case_passes_with_a_scripted_provider_that_sees_and_reasons(
    platform: Platform, api_key: str, model_ids: list[str], kind: str, name: str
):
    platform.upstream.always(CapableModel())
    results = await comply(platform, api_key, next(found for found in model_ids if name in found), kind)
    assert not complaints(results)
    assert len(results) == CASES
    assert [case["warnings"] for case in results if "warnings" in case] == []


async def test_cases_of_text_tools_streams_and_errors_pass_with_the_built_in_model(
    platform: Platform, api_key: str, builtin_model_id: str
):
    runs = await asyncio.gather(
        *(
            comply(
                platform,
                api_key,
                builtin_model_id,
                kind,
                "--filter",
                ",".join(f"{PREFIXES[kind]}-{case}" for case in BUILT_IN_CASES),
            )
            for kind in FORMATS
        )
    )
    for results in runs:
        assert not complaints(results)
        assert len(results) == len(BUILT_IN_CASES)
