"""The page parameters that list routes share.

Source: contract/llm-api.md, section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jan_server.http.errors import invalid_request

DEFAULT_LIMIT = 20


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page a caller asks for.

    Attributes:
        limit: How many rows at most, 1 or more.
        order: Direction of the list's own order.
        after: The last id of the page before, or None for the first page.
        offset: Rows to skip; wins over `after` where a list honours it.
    """

    limit: int = DEFAULT_LIMIT
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    offset: int | None = None


def page_request(query: Mapping[str, str], *, maximum: int | None = None) -> PageRequest:
    """Read `limit`, `order`, `after` (or its alias `cursor`) and `offset` from a query.

    Args:
        query: The query parameters.
        maximum: Larger limits are cut to it silently.

    Raises:
        ApiError: 400 that names the parameter.
    """
    limit = DEFAULT_LIMIT
    if text := query.get("limit"):
        limit = _whole_number(text, "invalid limit number", "limit")
        if limit < 1:
            raise invalid_request("invalid limit number", param="limit")
    if maximum is not None:
        limit = min(limit, maximum)
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise invalid_request("invalid order", param="order")
    offset: int | None = None
    if text := query.get("offset"):
        offset = _whole_number(text, "invalid offset number", "offset")
        if offset < 0:
            raise invalid_request("invalid offset number", param="offset")
    return PageRequest(
        limit=limit,
        order="asc" if order == "asc" else "desc",
        after=query.get("after") or query.get("cursor") or None,
        offset=offset,
    )


def _whole_number(text: str, message: str, param: str) -> int:
    # A PostgreSQL bigint is the largest row number there is; int() alone would take any length.
    if not text.lstrip("-").isdecimal() or len(text) > 18:
        raise invalid_request(message, param=param)
    return int(text)
