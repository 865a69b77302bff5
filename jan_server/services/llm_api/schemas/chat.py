"""What travels on the chat route, for the OpenAPI document: the route itself checks by hand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.response_cache import CacheOptions


class ConversationChoice(BaseModel):
    """The conversation that an exchange belongs to; `{}` makes a new one."""

    id: str = Field("", examples=["conv_0a1b2c3d4e5f6g7h"])
    branch: str | None = Field(None, description="The branch to read and write; by default the active one.")
    history: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether stored items precede the new messages: `auto` unless the request carries them.",
    )


class ChatMessage(BaseModel):
    """One message; members that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class ChatCompletionRequest(BaseModel):
    """OpenAI's request with Jan's members; every other member reaches the provider as it is."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["jan/smollm2-135m-instruct"])
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    conversation: str | ConversationChoice | None = Field(
        None, description="Attaches the exchange to a conversation; an empty text or object makes a new one."
    )
    store: bool = Field(True, description="False keeps the exchange out of the conversation.")
    store_reasoning: bool = Field(False, description="Whether reasoning is kept with the answer.")
    enable_thinking: bool | None = Field(
        None, description="False asks the model's instruct partner, where it has one."
    )
    cache: CacheOptions | None = Field(
        None, description="Gives the answer of the same request again; not in conversations."
    )
    deep_research: bool = Field(False, description="Tells the model to research deeply.")
    image: bool | None = Field(
        None, description="Whether the chat is about images; true adds the instructions for tools."
    )


class ConversationName(BaseModel):
    """The conversation that an answer belongs to."""

    id: str
    title: str | None = None


class ChatCompletion(BaseModel):
    """The provider's answer, its own bytes, with `conversation` and `trimmed` added where they apply."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None
    conversation: ConversationName | None = None
    trimmed: bool | None = Field(None, description="True when messages were left out to fit the context.")
