"""A request for a response, checked: what a run reads, and what the database keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from jan_server.http.errors import invalid_request
from jan_server.services.response_api.input_items import input_items
from jan_server.services.response_api.schemas.new_response import NewResponse

INCLUDED = frozenset(
    {
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
"""What `include` may name (OpenAI API reference)."""

_CHOICES = frozenset({"auto", "none", "required"})


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """One checked request.

    Attributes:
        model: The model's id, as sent.
        input: The input as sent, for clients that read it back.
        items: The input as items, each with an id.
        instructions: What the model is told first; empty for nothing.
        tools: As sent; None when the request names none, which is not the same as an empty list.
        max_output_tokens: The longest answer, in tokens.
        conversation: The id of the conversation; empty when none is named.
        previous_response_id: The id of the response that this one follows; empty when none is.
        options: Members that are told back and sent to the model as they are (`temperature`, …).
    """

    model: str
    input: Any
    items: tuple[dict[str, Any], ...]
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] | None = None
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    max_tool_calls: int | None = None
    max_output_tokens: int | None = None
    conversation: str = ""
    previous_response_id: str = ""
    reasoning: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    truncation: str = "disabled"
    include: tuple[str, ...] = ()
    stream: bool = False
    background: bool = False
    store: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The request as plain data, for the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        for name in ("items", "tools", "include"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        return cls(**values)


OPTIONS = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
)


def response_request(body: NewResponse) -> ResponseRequest:
    """Check a body and take it apart.

    Raises:
        ApiError: 400 that names the member at fault.
    """
    if body.background and body.store is False:
        raise invalid_request("background mode requires store=true", param="store")
    if body.input is None and not (body.previous_response_id or body.conversation):
        raise invalid_request("`input` is missing: send a text or a list of items", param="input")
    if body.previous_response_id and body.conversation:
        raise invalid_request("send `previous_response_id` or `conversation`, not both", param="conversation")
    return ResponseRequest(
        model=body.model,
        input=body.input,
        items=tuple(input_items(body.input)),
        instructions=(body.instructions or body.system_prompt or "").strip(),
        tools=None if body.tools is None else tuple(_tools(body.tools)),
        tool_choice=_tool_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        max_tool_calls=body.max_tool_calls,
        max_output_tokens=body.max_output_tokens or body.max_tokens,
        conversation=_conversation(body.conversation),
        previous_response_id=(body.previous_response_id or "").strip(),
        reasoning=body.reasoning.model_dump(exclude_none=True) if body.reasoning else {},
        text=_text(body),
        truncation=body.truncation or "disabled",
        include=tuple(_include(body.include or [])),
        stream=body.stream is True,
        background=body.background is True,
        store=body.store is not False,
        metadata=body.metadata or {},
        options={name: value for name in OPTIONS if (value := getattr(body, name)) is not None},
    )


def _conversation(given: str | dict[str, Any] | None) -> str:
    if isinstance(given, dict):
        given = given.get("id")
        if not isinstance(given, str):
            raise invalid_request("`conversation.id` must be a text", param="conversation.id")
    return (given or "").strip()


def _include(given: list[str]) -> list[str]:
    for index, name in enumerate(given):
        if name not in INCLUDED:
            known = ", ".join(sorted(INCLUDED))
            raise invalid_request(
                f"`{name}` cannot be included; there are {known}", param=f"include[{index}]"
            )
    return given


def _tools(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for index, tool in enumerate(given):
        place = f"tools[{index}]"
        kind = tool.get("type")
        if not isinstance(kind, str) or not kind:
            raise invalid_request(f"`{place}.type` must be a text such as `function`", param=f"{place}.type")
        nested = tool.get("function")
        if kind == "function":
            named = nested if isinstance(nested, dict) else tool
            at = f"{place}.function.name" if named is nested else f"{place}.name"
            if not isinstance(named.get("name"), str) or not named["name"]:
                raise invalid_request(f"`{at}` must be a text", param=at)
            parameters = named.get("parameters")
            if parameters is not None and not isinstance(parameters, dict):
                at = at.replace("name", "parameters")
                raise invalid_request(f"`{at}` must be an object", param=at)
        elif kind == "mcp" and not isinstance(tool.get("server_label"), str):
            at = f"{place}.server_label"
            raise invalid_request(f"`{at}` must be a text", param=at)
    return given


def _tool_choice(given: str | dict[str, Any] | None) -> str | dict[str, Any]:
    if given is None:
        return "auto"
    if isinstance(given, str):
        if given not in _CHOICES:
            raise invalid_request(
                "`tool_choice` must be auto, none, required, or an object that names a tool",
                param="tool_choice",
            )
        return given
    if not isinstance(given.get("type"), str):
        raise invalid_request("`tool_choice.type` must be a text", param="tool_choice.type")
    return given


def _text(body: NewResponse) -> dict[str, Any]:
    text = body.text.model_dump(exclude_none=True) if body.text else {}
    form = text.get("format")
    if form is None:
        return text
    kind = form.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid_request(
            "`text.format.type` must be text, json_object or json_schema", param="text.format.type"
        )
    if kind == "json_schema":
        for name, wanted, words in (("name", str, "a text"), ("schema", dict, "an object")):
            if not isinstance(form.get(name), wanted):
                raise invalid_request(f"`text.format.{name}` must be {words}", param=f"text.format.{name}")
    return text
