"""A JSON column that is read and written as text, so that what is only passed on is never parsed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, cast
from sqlalchemy.types import UserDefinedType


class RawJson(UserDefinedType[str]):
    """PostgreSQL's `json` (not `jsonb`: the order of members is kept) as JSON text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The name of the type in DDL."""
        return "JSON"

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Read the column as text, which keeps the driver from parsing it."""
        return cast(column, Text)
