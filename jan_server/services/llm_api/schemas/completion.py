"""What travels on the route of text completions, for the OpenAPI document: the route checks by hand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.response_cache import CacheOptions


class CompletionRequest(BaseModel):
    """OpenAI's request; members that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["jan/smollm2-135m-instruct"])
    prompt: str | list[str] | list[int] | list[list[int]] = Field(
        description="A text, several, or their tokens.", examples=["Once upon a time"]
    )
    max_tokens: int | None = Field(None, examples=[64])
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    seed: int | None = None
    user: str | None = None
    cache: CacheOptions | None = Field(None, description="Gives the answer of the same request again.")


class CompletionChoice(BaseModel):
    """One way in which the prompt goes on."""

    model_config = ConfigDict(extra="allow")

    index: int
    text: str
    finish_reason: str | None
    logprobs: dict[str, Any] | None = None


class Completion(BaseModel):
    """The provider's answer, its own bytes."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "id": "cmpl-1",
                "object": "text_completion",
                "created": 1760000000,
                "model": "smollm2-135m-instruct",
                "choices": [{"index": 0, "text": " there was a fox.", "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
            }
        },
    )

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: dict[str, Any] | None = None
