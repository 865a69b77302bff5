"""The arguments of a call: checked against the tool's schema, with its defaults filled in.

Source: contract/mcp-tools.md, section 3 ("tools/call").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

PASSED = ("tool_call_id", "request_id", "conversation_id", "user_id")
"""Texts that every tool takes beside its own arguments, and that no tool sees among them."""


class BadArguments(ValueError):
    """The arguments do not fit; the text says which and why."""


def checked(schema: Mapping[str, Any], given: Mapping[str, Any], *, more: bool = False) -> dict[str, Any]:
    """The arguments with the defaults of what is missing.

    Args:
        schema: JSON Schema of the tool's arguments.
        given: What the client sent.
        more: Whether arguments that the schema does not name are let through.

    Raises:
        BadArguments: They do not fit the schema.
    """
    properties = schema.get("properties", {})
    arguments = {name: value for name, value in given.items() if name not in PASSED or name in properties}
    strict = {**schema, "type": "object"}
    if not more:
        strict["additionalProperties"] = False
    error = min(
        Draft202012Validator(strict).iter_errors(arguments), key=lambda each: len(each.path), default=None
    )
    if error is not None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        named = f' "{place.lstrip(".")}"' if place else ""
        raise BadArguments(f'validating "arguments":{named} {_words(error)}')
    for name, described in properties.items():
        if name not in arguments and "default" in described:
            arguments[name] = described["default"]
    return arguments


def _words(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return "required: missing properties: [" + ", ".join(f'"{name}"' for name in missing) + "]"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        more = [name for name in error.instance if name not in known]
        return "unexpected additional properties [" + ", ".join(f'"{name}"' for name in more) + "]"
    return str(error.message)
