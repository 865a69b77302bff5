"""The query parameters of list routes, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from jan_server.http.errors import invalid_request

_MOST_DIGITS = 9


def page_parameters(*further: dict[str, Any], maximum: int | None = None) -> dict[str, Any]:
    """The `openapi_extra` of a list route: its page parameters and those of its own."""
    limit = {"type": "integer", "minimum": 1, "default": 20}
    return {
        "parameters": [
            query_parameter("limit", f"Larger values count as {maximum}." if maximum else "", limit),
            query_parameter("order", "", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
            query_parameter("after", "The `last_id`, or the `next_cursor`, of the page before."),
            query_parameter("cursor", "Another name of `after`."),
            query_parameter(
                "offset", "How many to skip; wins over `after`.", {"type": "integer", "minimum": 0}
            ),
            *further,
        ]
    }


def query_parameter(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """One optional query parameter, a text by default; an empty one counts as left out."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "allowEmptyValue": True,
        "schema": schema or {"type": "string"},
        **({"description": description} if description else {}),
    }


def lenient(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that may be any text, of which only what fits `schema` counts."""
    return {"anyOf": [schema, {"type": "string"}]}


def text_filter(request: Request, name: str) -> str | None:
    """A filter from the query, None when it is left out or empty; ApiError 400 for NUL characters."""
    value = request.query_params.get(name) or None
    if value is not None and "\0" in value:
        raise invalid_request(f"{name} must not hold NUL characters", param=name)
    return value


def flag_filter(request: Request, name: str) -> bool | None:
    """A yes-or-no filter from the query: `true` is yes, anything else no; None when it is left out."""
    value = request.query_params.get(name)
    return None if value is None else value.lower() == "true"


def number_filter(request: Request, name: str, default: int) -> int:
    """A whole number of at least 0 from the query; ApiError 400 names the parameter for anything else."""
    text = request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise invalid_request(f"{name} must be a whole number of at least 0", param=name)
    return int(text)


def choice_filter(request: Request, name: str) -> bool | None:
    """`true` or `false` from the query, None when it is left out; ApiError 400 for anything else."""
    text = request.query_params.get(name, "").lower()
    if text not in ("", "true", "false"):
        raise invalid_request(f"{name} must be true or false", param=name)
    return None if not text else text == "true"


def lenient_number(request: Request, name: str, default: int, *, least: int = 0) -> int:
    """A whole number of at least `least` from the query; the default for anything else."""
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS or int(text) < least:
        return default
    return int(text)


def lenient_flag(request: Request, name: str) -> bool | None:
    """`true` or `false` (`1` or `0`) from the query; None for anything else."""
    return {"true": True, "1": True, "false": False, "0": False}.get(
        request.query_params.get(name, "").lower()
    )
