"""Callers who speak OpenAI's Conversations API: how they are known on paths that the contract has too."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header


async def speaks_openai(
    x_stainless_lang: Annotated[
        str | None,
        Header(description="Every SDK of OpenAI sends it; with any value, the answer has OpenAI's shape."),
    ] = None,
) -> bool:
    """FastAPI dependency: whether the caller is one of OpenAI's clients, or wants to be answered as one."""
    return x_stainless_lang is not None


SpeaksOpenAI = Annotated[bool, Depends(speaks_openai)]
