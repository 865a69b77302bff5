"""Tools for models that know none: described in the prompt, held to a JSON schema, read back.

A model or engine without tool support of its own still answers with `tool_calls`: the tools
are described in a system message, decoding is constrained to a schema that only a call of one
of them (or, with `tool_choice: "auto"`, a plain answer) satisfies, and what comes back is put
into OpenAI's shape. llama.cpp and vLLM both constrain decoding by `response_format`.

The members stand in the order in which a stream can be read: a plain answer is
`{"answer": "…"}`, whose text can be passed on as it grows; a call is
`{"tool": "<name>", "arguments": {…}}` (`prompted_answer.py` reads both).
Source: OpenAI API reference, "Create chat completion" (`tools`, `tool_choice`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from jan_server.http.errors import invalid_request
from jan_server.http.ids import public_id
from jan_server.inference.prompted_answer import AnswerReader, PromptedTools

_MEMBERS_FOR_NATIVE_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}
_NO_SCHEMAS = frozenset({"const", "enum", "default", "examples", "required"})
_LIMITS_OF_TEXTS = frozenset({"const", "enum", "format", "maxLength", "pattern"})
_LONGEST_TEXT = 500
_SHORTEST_TEXT = 16
_CALL_TOKENS = 40
"""What a call has around its texts: the names, brackets and short values."""

_LONGEST_LIST = 10
_RESULT = "Result of the tool"


def needs_prompt(body: Mapping[str, Any]) -> bool:
    """Whether a chat request speaks of tools at all, in its tools or in its history."""
    return bool(body.get("tools")) or any(
        message.get("role") == "tool" or message.get("tool_calls") for message in body["messages"]
    )


def prompt_tools(
    body: Mapping[str, Any], *, bounded: bool = False
) -> tuple[dict[str, Any], PromptedTools | None]:
    """The request without native tools, and how to read its answer.

    Args:
        body: A checked chat completion request.
        bounded: Whether texts and lists in arguments get a limit where their schema sets none: the
            smallest models would not come to an end.

    Returns:
        The body to send, and None when the answer is to be relayed as it is (no function is
        offered, or `tool_choice` is `none`).

    Raises:
        ApiError: 400 when `tool_choice` is unknown or names a tool that is not offered.
    """
    sent = {name: value for name, value in body.items() if name not in _MEMBERS_FOR_NATIVE_TOOLS}
    sent["messages"] = plain_history(body["messages"])
    functions = [
        tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), Mapping)
    ]
    functions, may_answer = _choose(functions, body.get("tool_choice"))
    if not functions:
        return sent, None
    answer = _answer_schema(body.get("response_format")) if may_answer else None
    reading = PromptedTools(
        names=frozenset(function["name"] for function in functions),
        may_answer=may_answer,
        answers_in_json=answer is not None and answer != {"type": "string"},
    )
    sent["messages"] = _with_description(sent["messages"], functions, may_answer=may_answer)
    if bounded:
        longest = _longest_text(functions, body.get("max_completion_tokens") or body.get("max_tokens"))
        functions = [
            {**function, "parameters": _bounded(function.get("parameters"), longest)}
            for function in functions
        ]
    sent["response_format"] = {
        "type": "json_schema",
        "json_schema": {
            "name": "answer_or_call",
            "strict": True,
            "schema": answer_or_call_schema(functions, answer),
        },
    }
    return sent, reading


def _choose(functions: list[dict[str, Any]], choice: Any) -> tuple[list[dict[str, Any]], bool]:
    """The functions that may be called, and whether a plain answer is allowed beside them."""
    if choice in (None, "auto"):
        return functions, True
    if choice == "required":
        return functions, False
    if choice == "none":
        return [], True
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind == "function":
        return _named(functions, [choice]), False
    allowed = choice.get("allowed_tools") if kind == "allowed_tools" else None
    if isinstance(allowed, Mapping) and isinstance(allowed.get("tools"), list):
        return _named(functions, allowed["tools"]), allowed.get("mode") != "required"
    raise invalid_request(
        "tool_choice must be `none`, `auto`, `required` or an object that names a function",
        param="tool_choice",
        code="invalid_value",
    )


def _named(functions: list[dict[str, Any]], wanted: Sequence[Any]) -> list[dict[str, Any]]:
    known = {function["name"]: function for function in functions}
    found = []
    for entry in wanted:
        function = entry.get("function") if isinstance(entry, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or name not in known:
            raise invalid_request(
                f"tool_choice names {name!r}, which is not among the functions of `tools`",
                param="tool_choice",
                code="invalid_value",
            )
        found.append(known[name])
    return found


def answer_or_call_schema(
    functions: Sequence[Mapping[str, Any]], answer: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The schema that a call of one of the functions satisfies, or a plain answer where allowed.

    Args:
        functions: The functions that may be called.
        answer: The schema of a plain answer; None where none is allowed.
    """
    definitions: dict[str, Any] = {}
    forms = []
    if answer is not None:
        forms.append(_form(answer=_placed(answer, "answer", definitions)))
    for index, function in enumerate(functions):
        arguments = _placed(arguments_schema(function), f"tool{index}", definitions)
        forms.append(_form(tool={"const": function["name"]}, arguments=arguments))
    schema: dict[str, Any] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {**schema, "$defs": definitions} if definitions else schema


def arguments_schema(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a function's arguments look like: an object, and an empty one where nothing is said."""
    parameters = function.get("parameters")
    if not parameters:
        return _NO_ARGUMENTS
    if isinstance(parameters, Mapping) and parameters.get("type", "object") == "object":
        return {"type": "object", **parameters}
    return {"type": "object"}


def _longest_text(functions: Sequence[Mapping[str, Any]], tokens: Any) -> int:
    """How long a text may be so that a whole call fits into the answer, at a character a token."""
    if not isinstance(tokens, int):
        return _LONGEST_TEXT
    texts = max((_count_texts(function.get("parameters")) for function in functions), default=0)
    return max(_SHORTEST_TEXT, min(_LONGEST_TEXT, (tokens - _CALL_TOKENS) // max(texts, 1)))


def _count_texts(schema: Any) -> int:
    """How many texts without a limit of their own the arguments hold at the most; references count once."""
    if isinstance(schema, list):
        return sum(map(_count_texts, schema))
    if not isinstance(schema, Mapping):
        return 0
    if _is_endless_text(schema):
        return 1
    texts = sum(_count_texts(entry) for name, entry in schema.items() if name not in _NO_SCHEMAS)
    return texts * _LONGEST_LIST if schema.get("type") == "array" and "maxItems" not in schema else texts


def _is_endless_text(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "string" and schema.keys().isdisjoint(_LIMITS_OF_TEXTS)


def _bounded(schema: Any, longest: int) -> Any:
    """The schema with a limit for every text and list that has none."""
    if isinstance(schema, list):
        return [_bounded(entry, longest) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    bounded = {
        name: entry if name in _NO_SCHEMAS else _bounded(entry, longest) for name, entry in schema.items()
    }
    if _is_endless_text(schema):
        bounded["maxLength"] = _at_least(longest, schema.get("minLength"))
    elif schema.get("type") == "array" and "maxItems" not in schema:
        bounded["maxItems"] = _at_least(_LONGEST_LIST, schema.get("minItems"))
    return bounded


def _at_least(limit: int, least: Any) -> int:
    return max(limit, least) if isinstance(least, int) else limit


def _form(**members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _placed(schema: Mapping[str, Any], name: str, definitions: dict[str, Any]) -> Mapping[str, Any]:
    """The schema for a place inside another one: one with references becomes a definition there."""
    moved, changed = _moved(schema, f"#/$defs/{name}")
    if not changed:
        return schema
    definitions[name] = moved
    return {"$ref": f"#/$defs/{name}"}


def _moved(value: Any, root: str) -> tuple[Any, bool]:
    """A part of a schema whose references begin at `root`, and whether there were any."""
    if isinstance(value, Mapping):
        result, changed = {}, False
        for name, entry in value.items():
            if name == "$ref" and isinstance(entry, str) and entry.startswith("#"):
                result[name], changed = root + entry[1:], True
            else:
                result[name], inner = _moved(entry, root)
                changed = changed or inner
        return result, changed
    if isinstance(value, list):
        entries = [_moved(entry, root) for entry in value]
        return [entry for entry, _ in entries], any(changed for _, changed in entries)
    return value, False


def _answer_schema(response_format: Any) -> Mapping[str, Any]:
    """What a plain answer looks like: a text, or what the request itself asks for."""
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema" and isinstance(layout := response_format.get("json_schema"), Mapping):
        schema = layout.get("schema")
        return schema if isinstance(schema, Mapping) else {"type": "object"}
    return {"type": "string"}


def _with_description(
    messages: list[dict[str, Any]], functions: Sequence[Mapping[str, Any]], *, may_answer: bool
) -> list[dict[str, Any]]:
    lines = ["You can use these tools:"]
    lines += [
        orjson.dumps(
            {
                "tool": function["name"],
                "description": function.get("description") or "",
                "arguments": arguments_schema(function),
            }
        ).decode()
        for function in functions
    ]
    lines.append('Call a tool by answering with JSON: {"tool": "<name>", "arguments": {…}}.')
    if may_answer:
        lines.append('When no tool is needed, answer with JSON: {"answer": "<your answer>"}.')
    text = "\n".join(lines)
    first = messages[0] if messages else {}
    if first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    said = first.get("content")
    content = [*said, {"type": "text", "text": text}] if isinstance(said, list) else f"{said}\n\n{text}"
    return [{**first, "content": content}, *messages[1:]]


def plain_history(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as a model without tools knows them: calls and results as text.

    Results that follow one another become one message, because many templates want the roles
    to take turns.
    """
    plain: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    after_result = False
    for message in messages:
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id")), "")
            text = f"{f'{_RESULT} {name}'.strip()}: {_text(message.get('content'))}"
            if after_result:
                plain[-1]["content"] += f"\n{text}"
            else:
                plain.append({"role": "user", "content": text})
            after_result = True
            continue
        after_result = False
        if not message.get("tool_calls"):
            plain.append(dict(message))
            continue
        said = [text] if (text := _text(message.get("content"))) else []
        for call in message["tool_calls"]:
            function = call.get("function") or {}
            name = str(function.get("name") or "")
            names[str(call.get("id"))] = name
            tool = orjson.dumps(name).decode()
            said.append(f'{{"tool": {tool}, "arguments": {function.get("arguments") or "{}"}}}')
        plain.append({"role": "assistant", "content": "\n".join(said)})
    return plain


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def read_completion(body: bytes, reading: PromptedTools) -> bytes:
    """A completion whose choices hold `tool_calls`, or the plain answer's text.

    A call that was cut off by a token limit is left out; its choice keeps `length` as the reason.
    """
    completion = orjson.loads(body)
    completion["choices"] = [_read_choice(choice, reading) for choice in completion.get("choices") or ()]
    return orjson.dumps(completion)


def _read_choice(choice: Mapping[str, Any], reading: PromptedTools) -> dict[str, Any]:
    message = dict(choice.get("message") or {})
    if not isinstance(message.get("content"), str):
        return dict(choice)
    reader = AnswerReader(reading)
    said = reader.feed(message["content"]) + reader.end(cut=choice.get("finish_reason") == "length")
    if reader.form != "call":
        return {**choice, "message": {**message, "content": said}}
    message["content"] = None
    if not reader.complete:
        return {**choice, "message": message}
    function = {"name": reader.name, "arguments": said}
    message["tool_calls"] = [{"id": call_id(), "type": "function", "function": function}]
    return {**choice, "message": message, "finish_reason": "tool_calls"}


def call_id() -> str:
    """A new id of a tool call."""
    return public_id("call", 24)
