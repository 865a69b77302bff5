"""Items as the messages of a chat completion: what the model reads of a response's history.

Tool calls stay with their results: a call whose result is unknown is left out, because providers
refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

RESULT = "_result"
"""The member of an executed call in which its whole result is kept; clients never see it."""

EXECUTED = frozenset({"mcp_call", "web_search_call", "file_search_call", "code_interpreter_call"})
"""The types of calls that were made here."""

CALL = "_call"
"""The member of an executed call that says how the model called it: `{id, name, arguments}`."""


def chat_messages(items: Iterable[Mapping[str, Any]], *, instructions: str = "") -> list[dict[str, Any]]:
    """The items as messages, the instructions in front.

    Args:
        items: History, input and output so far, in their order.
        instructions: What the model is told first.
    """
    known = list(items)
    answered = {each.get("call_id") for each in known if each.get("type") == "function_call_output"}
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for item in known:
        kind = item.get("type")
        if kind == "message":
            messages.append({"role": _role(str(item["role"])), "content": content(item["content"])})
        elif kind == "function_call" and item.get("call_id") in answered:
            _add_call(messages, str(item["call_id"]), str(item["name"]), str(item["arguments"]))
        elif kind == "function_call_output":
            if _asked(messages, str(item["call_id"])):
                messages.append(_result(str(item["call_id"]), output_text(item["output"])))
        elif kind in EXECUTED and CALL in item:
            call = item[CALL]
            _add_call(messages, call["id"], call["name"], call["arguments"])
            messages.append(_result(call["id"], str(item.get(RESULT, ""))))
        elif kind == "compaction":
            messages.append({"role": "system", "content": str(item.get("encrypted_content", ""))})
    return messages


def content(parts: Any) -> str | list[dict[str, Any]]:
    """The content of an item as that of a message: a text where it is nothing else."""
    if isinstance(parts, str):
        return parts
    texts = [_text(part) for part in parts]
    if all(text is not None for text in texts):
        return "\n".join(text for text in texts if text is not None)
    return [_part(part) for part in parts]


def output_text(output: Any) -> str:
    """The output of a function as text."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        texts = [_text(part) if isinstance(part, dict) else None for part in output]
        if all(text is not None for text in texts):
            return "\n".join(text for text in texts if text is not None)
    return orjson.dumps(output).decode()


def _role(role: str) -> str:
    # Few providers know `developer`, and none gives it another meaning.
    return "system" if role == "developer" else role


def _text(part: Mapping[str, Any]) -> str | None:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return str(part.get("text", ""))
    return str(part.get("refusal", "")) if kind == "refusal" else None


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    text = _text(part)
    if text is not None:
        return {"type": "text", "text": text}
    kind = part.get("type")
    if kind == "input_image":
        image = {"url": part.get("image_url") or part.get("file_id") or ""}
        if part.get("detail"):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        named = ("file_id", "filename", "file_data", "file_url")
        return {"type": "file", "file": {name: part[name] for name in named if part.get(name)}}
    return dict(part)


def _add_call(messages: list[dict[str, Any]], call_id: str, name: str, arguments: str) -> None:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments or "{}"}}
    # Calls of one turn belong to one message, before the first of their results.
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant":
        last.setdefault("tool_calls", []).append(call)
        return
    asking = _open_turn(messages)
    if asking is not None:
        asking["tool_calls"].append(call)
        return
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _open_turn(messages: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The message whose results are the last messages, and which may take one more call."""
    for message in reversed(messages):
        if message.get("role") == "tool":
            continue
        return message if message.get("role") == "assistant" and message.get("tool_calls") else None
    return None


def _asked(messages: Sequence[Mapping[str, Any]], call_id: str) -> bool:
    return any(call["id"] == call_id for message in messages for call in message.get("tool_calls", ()))


def _result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}
