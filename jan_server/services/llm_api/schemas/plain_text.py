"""Texts that PostgreSQL can keep: it knows no NUL character."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def without_nul(text: str) -> str:
    """The text; a validation error when it holds a NUL character."""
    if "\0" in text:
        raise PydanticCustomError("nul_character", "must not hold NUL characters")
    return text


PlainText = Annotated[str, AfterValidator(without_nul)]
