"""Examples of bodies and answers in the OpenAPI document, put together from those of their members.

A model with an example of its own keeps it. The others get one from the examples of their members and
of the models inside them, so that a list shows the very entries that its model shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jan_server.http.api_document import COMPONENTS

_JSON = "application/json"
_DEEPEST = 6
_FORMATS: Mapping[str, str] = {
    "date-time": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
    "uuid": "0b9e7f0e-3f57-4a53-9c85-5d8d9b1c2a11",
    "email": "ada@example.org",
    "uri": "https://example.org",
}


def show_examples(document: dict[str, Any], texts: Mapping[str, str]) -> None:
    """Give each JSON body and answer of `document` an example, unless its model has one.

    Args:
        document: The OpenAPI document; it is changed.
        texts: What stands for a text whose member has no example, by the member's name.
    """
    schemas = document.get("components", {}).get("schemas", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = holder.get("content", {}).get(_JSON, {})
                schema = content.get("schema")
                if schema and "example" not in content and not _has_example(schema, schemas):
                    content["example"] = _example(schema, schemas, texts, "", 0)


def _has_example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    model = schemas.get(schema.get("$ref", "").removeprefix(COMPONENTS), schema)
    return "example" in model or bool(model.get("examples"))


def _example(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], texts: Mapping[str, str], name: str, depth: int
) -> Any:
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].removeprefix(COMPONENTS)], schemas, texts, name, depth + 1)
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    for fixed in ("const", "default"):
        if schema.get(fixed) is not None:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _example(schema[choice][0], schemas, texts, name, depth)
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", ())
        return {
            member: _example(inner, schemas, texts, member, depth + 1)
            for member, inner in schema.get("properties", {}).items()
            if member in required or (depth == 0 and _told(inner, schemas))
        }
    if kind == "array":
        return [] if depth > _DEEPEST else [_example(schema["items"], schemas, texts, name, depth + 1)]
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), 1)
    if kind == "null":
        return None
    return _FORMATS.get(schema.get("format", ""), texts.get(name, name or "text"))


def _told(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> bool:
    """Whether somebody wrote an example for a member that may be left out."""
    return _has_example(schema, schemas) and "$ref" not in schema
