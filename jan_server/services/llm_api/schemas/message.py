"""What travels on Anthropic's routes, for the OpenAPI document: the routes themselves check by hand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.response_cache import CacheOptions


class InputMessage(BaseModel):
    """One message: a text, or blocks (text, image, document, tool_use, tool_result, thinking)."""

    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]


class Tool(BaseModel):
    """A tool that the caller runs."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str | None = None
    input_schema: dict[str, Any]


class MessageCountRequest(BaseModel):
    """The part of a message request that has tokens."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["jan/smollm2-135m-instruct"])
    messages: list[InputMessage] = Field(min_length=1)
    system: str | list[dict[str, Any]] | None = None
    tools: list[Tool] | None = None
    tool_choice: dict[str, Any] | None = Field(None, examples=[{"type": "auto"}])


class MessageRequest(MessageCountRequest):
    """Anthropic's request."""

    max_tokens: int = Field(ge=1, examples=[256])
    stream: bool = False
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    cache: CacheOptions | None = Field(
        None, description="Jan's own: gives the answer of the same request again."
    )


class MessageTokens(BaseModel):
    """How many tokens a request would have."""

    input_tokens: int


class Message(BaseModel):
    """Anthropic's message."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]
    stop_sequence: str | None
    usage: dict[str, Any]


class MessageErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    message: str


class MessageErrorBody(BaseModel):
    """Anthropic's error."""

    type: Literal["error"] = "error"
    error: MessageErrorDetail
    request_id: str | None
