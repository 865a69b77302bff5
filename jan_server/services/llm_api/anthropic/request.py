"""A Messages request as a chat completion request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from jan_server.services.llm_api.media_client import is_media_id
from jan_server.services.llm_api.refusals import Invalid

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "max": "high", "xhigh": "high"}
# `cache` is Jan's own, as in a chat request.
_COPIED = ("temperature", "top_p", "top_k", "stream", "cache")


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completion request that asks the same.

    System text becomes the first message, tool results become `tool` messages in front of the
    rest of their turn, images become `image_url` parts, and thinking of earlier turns is left
    out: no other provider could check its signature.

    Args:
        body: The parsed Messages request.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise Invalid("model: Field required", param="model")
    limit = body.get("max_tokens")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise Invalid("max_tokens: must be a whole number of at least 1", param="max_tokens")
    chat: dict[str, Any] = {"model": model, "messages": chat_messages(body), "max_tokens": limit}
    for name in _COPIED:
        if body.get(name) is not None:
            chat[name] = body[name]
    if chat.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    stops = body.get("stop_sequences")
    if stops:
        if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
            raise Invalid("stop_sequences: must be a list of texts", param="stop_sequences")
        chat["stop"] = stops
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("user_id"), str):
        chat["user"] = metadata["user_id"]
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        chat["enable_thinking"] = False
    _copy_tools(body, chat)
    _copy_output(body, chat)
    return chat


def countable_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a request whose tokens are counted only: it says nothing about the answer's length.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    return chat_body({**body, "max_tokens": 1})


def chat_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a Messages request, its system text first, as chat messages.

    Raises:
        Invalid: A message or block is malformed; `param` names it.
    """
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise Invalid("messages: must be a list of at least one message", param="messages")
    messages: list[dict[str, Any]] = []
    if system := _system_text(body.get("system"), "system"):
        messages.append({"role": "system", "content": system})
    for index, message in enumerate(given):
        at = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise Invalid(f"{at}: must be an object", param=at)
        role = message.get("role")
        content = message.get("content")
        if isinstance(content, str):
            blocks: list[Any] = [{"type": "text", "text": content}]
        elif isinstance(content, list):
            blocks = content
        else:
            raise Invalid(f"{at}.content: must be a text or a list of blocks", param=f"{at}.content")
        if role == "user" and not blocks:
            raise Invalid(f"{at}.content: must hold at least one block", param=f"{at}.content")
        if role == "user":
            messages.extend(_user_messages(blocks, f"{at}.content"))
        elif role == "assistant":
            messages.append(_assistant_message(blocks, f"{at}.content"))
        elif role == "system":
            messages.append({"role": "system", "content": _system_text(blocks, f"{at}.content")})
        else:
            raise Invalid(f"{at}.role: must be `user` or `assistant`", param=f"{at}.role")
    return messages


def _system_text(system: Any, at: str) -> str:
    if system is None:
        return ""
    if isinstance(system, str):
        return system
    if isinstance(system, list) and all(
        isinstance(block, Mapping) and isinstance(block.get("text"), str) for block in system
    ):
        return "\n\n".join(block["text"] for block in system)
    raise Invalid(f"{at}: must be a text or a list of text blocks", param=at)


def _block(block: Any, at: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
        raise Invalid(f"{at}.type: Field required", param=f"{at}.type")
    return block["type"], block


def _user_messages(blocks: list[Any], at: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for index, entry in enumerate(blocks):
        here = f"{at}[{index}]"
        kind, block = _block(entry, here)
        if kind == "tool_result":
            call = block.get("tool_use_id")
            if not isinstance(call, str):
                raise Invalid(f"{here}.tool_use_id: Field required", param=f"{here}.tool_use_id")
            text, images = _tool_result(block, here)
            results.append({"role": "tool", "tool_call_id": call, "content": text})
            # A tool message carries text alone; its images follow in the user's own turn.
            parts.extend(images)
        else:
            parts.append(_part(kind, block, here))
    if not parts:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _tool_result(block: Mapping[str, Any], at: str) -> tuple[str, list[dict[str, Any]]]:
    content = block.get("content")
    if content is None:
        content = ""
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    if isinstance(content, str):
        texts.append(content)
    elif isinstance(content, list):
        for index, entry in enumerate(content):
            kind, inner = _block(entry, f"{at}.content[{index}]")
            part = _part(kind, inner, f"{at}.content[{index}]")
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                images.append(part)
    else:
        raise Invalid(f"{at}.content: must be a text or a list of blocks", param=f"{at}.content")
    text = "\n".join(texts)
    return (f"Error: {text}" if block.get("is_error") is True else text), images


def _part(kind: str, block: Mapping[str, Any], at: str) -> dict[str, Any]:
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise Invalid(f"{at}.text: must be a text", param=f"{at}.text")
        return {"type": "text", "text": block["text"]}
    source = block.get("source")
    if not isinstance(source, Mapping):
        if kind in ("image", "document"):
            raise Invalid(f"{at}.source: Field required", param=f"{at}.source")
        raise Invalid(f"{at}.type: `{kind}` blocks are not supported here", param=f"{at}.type")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _source_url(source, f"{at}.source")}}
    if kind == "document":
        if source.get("type") == "text" and isinstance(source.get("data"), str):
            title = block.get("title")
            return {"type": "text", "text": f"{title}\n\n{source['data']}" if title else source["data"]}
        name = block.get("title") or "document.pdf"
        return {"type": "file", "file": {"filename": name, "file_data": _source_url(source, f"{at}.source")}}
    raise Invalid(f"{at}.type: `{kind}` blocks are not supported here", param=f"{at}.type")


def _source_url(source: Mapping[str, Any], at: str) -> str:
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    media, data = source.get("media_type"), source.get("data")
    if source.get("type") == "base64" and isinstance(media, str) and isinstance(data, str):
        return f"data:{media};base64,{data}"
    if source.get("type") == "file" and is_media_id(source.get("file_id")):
        return str(source["file_id"])
    raise Invalid(f"{at}: must be a `base64` or a `url` source, or a `file` of the Media API", param=at)


def _assistant_message(blocks: list[Any], at: str) -> dict[str, Any]:
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for index, entry in enumerate(blocks):
        here = f"{at}[{index}]"
        kind, block = _block(entry, here)
        if kind == "text":
            texts.append(_part(kind, block, here)["text"])
        elif kind == "tool_use":
            for name in ("id", "name"):
                if not isinstance(block.get(name), str):
                    raise Invalid(f"{here}.{name}: Field required", param=f"{here}.{name}")
            calls.append(
                {
                    "id": block["id"],
                    "type": "function",
                    "function": {
                        "name": block["name"],
                        "arguments": orjson.dumps(block.get("input") or {}).decode(),
                    },
                }
            )
        elif kind not in ("thinking", "redacted_thinking"):
            raise Invalid(f"{here}.type: `{kind}` blocks are not supported here", param=f"{here}.type")
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
    if calls:
        message["tool_calls"] = calls
        message["content"] = message["content"] or None
    return message


def _copy_tools(body: Mapping[str, Any], chat: dict[str, Any]) -> None:
    given = body.get("tools")
    if not given:
        return
    if not isinstance(given, list):
        raise Invalid("tools: must be a list", param="tools")
    tools = []
    for index, tool in enumerate(given):
        at = f"tools[{index}]"
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise Invalid(f"{at}.name: Field required", param=f"{at}.name")
        if tool.get("type") not in (None, "custom"):
            raise Invalid(
                f"{at}.type: only Anthropic's own models know `{tool['type']}`; "
                "describe the tool by name and input_schema",
                param=f"{at}.type",
            )
        if not isinstance(tool.get("input_schema"), Mapping):
            raise Invalid(f"{at}.input_schema: Field required", param=f"{at}.input_schema")
        function = {"name": tool["name"], "parameters": tool["input_schema"]}
        if isinstance(tool.get("description"), str):
            function["description"] = tool["description"]
        if tool.get("strict") is True:
            function["strict"] = True
        tools.append({"type": "function", "function": function})
    chat["tools"] = tools
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind == "tool" and isinstance(choice.get("name"), str):
        chat["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif kind in ("auto", "any", "none"):
        chat["tool_choice"] = "required" if kind == "any" else kind
    else:
        raise Invalid("tool_choice.type: must be `auto`, `any`, `tool` or `none`", param="tool_choice.type")
    if choice.get("disable_parallel_tool_use") is True:
        chat["parallel_tool_calls"] = False


def _copy_output(body: Mapping[str, Any], chat: dict[str, Any]) -> None:
    output = body.get("output_config")
    if not isinstance(output, Mapping):
        return
    layout = output.get("format")
    if isinstance(layout, Mapping) and layout.get("type") == "json_schema":
        chat["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": layout.get("schema", {})},
        }
    if isinstance(output.get("effort"), str) and output["effort"] in _EFFORTS:
        chat["reasoning_effort"] = _EFFORTS[output["effort"]]
