"""The body of a request for a response: OpenAI's members and the contract's older ones.

Source: OpenAI API reference, "Create a model response"; Open Responses, `CreateResponseBody`;
contract/response-api.md, section 3.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class ReasoningChoice(BaseModel):
    """How much the model thinks, and how much of that is told."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class TextChoice(BaseModel):
    """The form of the text that is wanted."""

    format: dict[str, Any] | None = Field(
        None, description='`{"type": "text"}`, `{"type": "json_object"}` or `{"type": "json_schema", …}`.'
    )
    verbosity: Literal["low", "medium", "high"] | None = None


class NewResponse(BaseModel):
    """What a response is asked for with."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model": "jan/smollm2-135m-instruct", "input": "Say hello."}}
    )

    model: str = Field(min_length=1, description="The id of a model.")
    input: Any = Field(None, description="A text, an item, or a list of items.")
    instructions: str | None = Field(None, description="What the model is told first; not kept.")
    system_prompt: str | None = Field(None, description="The older name of `instructions`.")
    previous_response_id: str | None = Field(None, description="The response that this one follows.")
    conversation: str | dict[str, Any] | None = Field(
        None, description="The conversation that this belongs to: its id, or an object with its `id`."
    )
    tools: list[dict[str, Any]] | None = Field(
        None, description="What the model may call; without it, the tools of MCP Tools are offered."
    )
    tool_choice: str | dict[str, Any] | None = Field(
        None, description="`auto`, `none`, `required`, or one tool."
    )
    parallel_tool_calls: bool | None = Field(None, description="Whether several calls may come at once.")
    max_tool_calls: int | None = Field(None, ge=1, description="How many calls are made in all.")
    max_output_tokens: int | None = Field(None, ge=1, description="The longest answer, in tokens.")
    max_tokens: int | None = Field(None, ge=1, description="The older name of `max_output_tokens`.")
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    reasoning: ReasoningChoice | None = None
    text: TextChoice | None = None
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="Whether old items are left out when the context is full."
    )
    include: list[str] | None = Field(None, description="What is shown beside the usual.")
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    background: bool | None = Field(None, description="Queue it, and answer at once.")
    store: bool | None = Field(None, description="Whether it can be read later; true by default.")
    metadata: dict[str, Any] | None = Field(
        None, description="Kept and shown as sent; `webhook_url` is called when a background run ends."
    )
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
