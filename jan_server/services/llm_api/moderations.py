"""Moderation: a model judges texts and images. Source: OpenAI API reference, "Create moderation"."""

from __future__ import annotations

from typing import Any

from jan_server.services.llm_api.member_checks import check_objects, check_text, require, wrong_type

PATH = "/moderations"
DEFAULT_MODEL = "omni-moderation-latest"
"""What OpenAI takes where a request names no model."""


def parse_moderation_request(body: dict[str, Any]) -> str:
    """Check a request's body; returns the model that it asks for.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    given = require(body, "input")
    if isinstance(given, list) and not all(isinstance(entry, str) for entry in given):
        check_objects("input", given)
    elif not isinstance(given, str | list):
        raise wrong_type("input", "a string, an array of strings or an array of parts")
    model = body.get("model") or DEFAULT_MODEL
    check_text("model", model)
    return str(model)
