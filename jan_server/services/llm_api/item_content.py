"""Content blocks: what the content of an item may hold, checked and brought into the stored form.

A stored block has its text, or its object, under a member that is named like its type; only
`text` is itself. Callers may write the shorter forms of OpenAI's API, with the members beside
`type`; its `input_image` and `input_file` are stored as `image` and `file`.

Source: contract/llm-api.md, section 12.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jan_server.services.llm_api.media_client import is_media_id
from jan_server.services.llm_api.refusals import Invalid

Block = Mapping[str, Any]

MAXIMUM_BLOCKS = 100
MAXIMUM_TEXT = 100_000
MAXIMUM_SHORT_TEXT = 50_000
MAXIMUM_ANNOTATIONS = 100
MAXIMUM_FILE_BYTES = 512 * 1024 * 1024

ANNOTATIONS = frozenset(
    {"file_citation", "url_citation", "container_file_citation", "file_path", "quote", "highlight"}
)
AUDIO_FORMATS = ("mp3", "wav", "opus", "flac", "pcm16")
FILE_SOURCES = ("file_id", "file_data", "file_url")
IMAGE_DETAILS = ("low", "high", "auto", "original")
IMAGE_SCHEMES = ("http:", "https:", "data:", "file:")

_SPOKEN = ("text", "input_text", "output_text", "tool_result", "mcp_call", "refusal")


def parse_content(content: Any, *, path: str, role: str | None = None) -> list[Block] | None:
    """The blocks that a caller gave as an item's content, in the stored form.

    Args:
        content: A list of blocks, or a plain text that becomes one block.
        path: Where the content stands in the request, for the messages of refusals.
        role: The item's role, which decides what a plain text becomes.

    Raises:
        Invalid: A block breaks a rule; `param` names it.
    """
    if content is None:
        return None
    if isinstance(content, str):
        kind = "input_text" if role in (None, "user", "system", "developer") else "text"
        content = [{"type": kind, "text": content}]
    if not isinstance(content, list):
        raise Invalid(f"{path} must be a list of content blocks or a text", param=path)
    if len(content) > MAXIMUM_BLOCKS:
        raise Invalid(f"{path} has {len(content)} blocks, the most is {MAXIMUM_BLOCKS}", param=path)
    return [_parse_block(block, f"{path}[{place}]") for place, block in enumerate(content)]


def parse_tool_calls(calls: Any, *, path: str) -> list[Any]:
    """The calls that an assistant asked for, as a caller gave them in OpenAI's shape.

    Raises:
        Invalid: There are none, or one names no function; `param` says which.
    """
    if not isinstance(calls, list) or not calls:
        raise Invalid(f"{path} must be a list of calls", param=path)
    for place, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            where = f"{path}[{place}].function.name"
            raise Invalid(f"{where} must be a text", param=where)
    return calls


def text_block(kind: str, text: str, **members: Any) -> Block:
    """A block of one of the text kinds; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return {"type": kind, kind: text, **given}


def image_block(url: str, detail: str | None = None) -> Block:
    """A block with an image by its URL."""
    return {"type": "image", "image": {"url": url, **({"detail": detail} if detail else {})}}


def tool_calls_block(calls: list[Mapping[str, Any]]) -> Block:
    """A block with the calls that an assistant asked for, in OpenAI's shape."""
    return {"type": "tool_calls", "tool_calls": calls}


def blocks_text(blocks: Iterable[Block]) -> str:
    """What the blocks say, joined by line breaks; reasoning, images and calls say nothing."""
    texts = []
    for block in blocks:
        kind = block.get("type")
        if kind in _SPOKEN:
            value = block.get(kind)
            texts.append(value or "" if isinstance(value, str | None) else value.get("text", ""))
    return "\n".join(texts)


def tool_calls_of(blocks: Iterable[Block]) -> list[Any]:
    """All calls of the `tool_calls` blocks."""
    return [call for block in blocks if block.get("type") == "tool_calls" for call in block["tool_calls"]]


def _parse_block(block: Any, path: str) -> Block:
    if not isinstance(block, dict):
        raise Invalid(f"{path} must be an object", param=path)
    kind = block.get("type")
    if kind == "mcp_call":
        raise Invalid(
            f"{path}: mcp_call blocks cannot be given; complete the call under its call id instead",
            param=f"{path}.type",
        )
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise Invalid(f"{path}.type must be one of {', '.join(_PARSERS)}", param=f"{path}.type")
    return {"type": kind, **parse(block, str(kind), path)}


def _parse_text(block: Block, kind: str, path: str) -> dict[str, Any]:
    text = _text(block, kind, path, MAXIMUM_TEXT)
    return {kind: text, **_texts(block, ("finish_reason", "tool_call_id"), path)}


def _parse_short_text(block: Block, kind: str, path: str) -> dict[str, Any]:
    return {kind: _text(block, kind, path, MAXIMUM_SHORT_TEXT)}


def _parse_code(block: Block, kind: str, path: str) -> dict[str, Any]:
    given = block.get("code")
    source = given if isinstance(given, dict) else block
    text = _text(source, kind, path, MAXIMUM_SHORT_TEXT)
    return {"code": text, **_texts(source, ("language",), path)}


def _parse_output_text(block: Block, kind: str, path: str) -> dict[str, Any]:
    given = block.get(kind)
    source = given if isinstance(given, dict) else block
    annotations = source.get("annotations")
    if annotations is None:
        annotations = []
    where = f"{path}.annotations"
    if not isinstance(annotations, list) or len(annotations) > MAXIMUM_ANNOTATIONS:
        raise Invalid(f"{where} must be a list of at most {MAXIMUM_ANNOTATIONS}", param=where)
    for place, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or annotation.get("type") not in ANNOTATIONS:
            at = f"{where}[{place}].type"
            raise Invalid(f"{at} must be one of {', '.join(sorted(ANNOTATIONS))}", param=at)
    text = _text(source, kind, path, MAXIMUM_TEXT)
    return {kind: {"text": text, "annotations": annotations}, **_texts(block, ("finish_reason",), path)}


def _parse_image(block: Block, kind: str, path: str) -> dict[str, Any]:
    given = block.get(kind)
    source = {"url": given} if isinstance(given, str) else given if isinstance(given, dict) else block
    return {kind: _image(source, path, "url")}


def _parse_input_image(block: Block, kind: str, path: str) -> dict[str, Any]:
    image = _image(block, path, "image_url")
    if "image_url" in image:
        image["url"] = image.pop("image_url")
    return {"type": "image", "image": image}


def _image(source: Block, path: str, address: str) -> dict[str, str]:
    """An image by its id or by its URL, which stands under the member `address`."""
    image = _texts(source, (address, "file_id", "detail"), path)
    if (address in image) == ("file_id" in image):
        raise Invalid(f"{path} must have exactly one of {address} and file_id", param=path)
    url = image.get(address)
    if url is not None and not url.lower().startswith(IMAGE_SCHEMES) and not is_media_id(url):
        where = f"{path}.{address}"
        raise Invalid(f"{where} must be an http, https, data or file URL, or a media id", param=where)
    _one_of(image, "detail", IMAGE_DETAILS, path)
    return image


def _parse_file(block: Block, kind: str, path: str) -> dict[str, Any]:
    source = _object(block, kind)
    file: dict[str, Any] = _texts(source, (*FILE_SOURCES, "filename", "name", "mime_type", "detail"), path)
    if not file.keys() & set(FILE_SOURCES):
        raise Invalid(f"{path} must have one of {', '.join(FILE_SOURCES)}", param=f"{path}.file_id")
    size = source.get("size")
    if size is not None:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAXIMUM_FILE_BYTES:
            raise Invalid(
                f"{path}.size must be a number of bytes, at most {MAXIMUM_FILE_BYTES}", param=f"{path}.size"
            )
        file["size"] = size
    return {kind: file}


def _parse_input_file(block: Block, kind: str, path: str) -> dict[str, Any]:
    return {"type": "file", **_parse_file(block, "file", path)}


def _parse_audio(block: Block, kind: str, path: str) -> dict[str, Any]:
    audio = _texts(_object(block, kind), ("id", "data", "url", "file_id", "format", "transcript"), path)
    if not audio.keys() & {"id", "data", "url", "file_id"}:
        raise Invalid(f"{path} must have one of data, url, file_id and id", param=path)
    _one_of(audio, "format", AUDIO_FORMATS, path)
    return {kind: audio}


def _parse_tool_calls(block: Block, kind: str, path: str) -> dict[str, Any]:
    return {kind: parse_tool_calls(block.get(kind), path=f"{path}.{kind}")}


def _parse_structure(block: Block, kind: str, path: str) -> dict[str, Any]:
    structure = _object(block, kind)
    if not structure:
        raise Invalid(f"{path}.{kind} must be an object", param=f"{path}.{kind}")
    return {kind: structure}


_PARSERS: dict[str, Callable[[Block, str, str], dict[str, Any]]] = {
    "text": _parse_text,
    "input_text": _parse_text,
    "reasoning_text": _parse_text,
    "summary_text": _parse_text,
    "tool_result": _parse_text,
    "output_text": _parse_output_text,
    "image": _parse_image,
    "input_image": _parse_input_image,
    "file": _parse_file,
    "input_file": _parse_input_file,
    "audio": _parse_audio,
    "input_audio": _parse_audio,
    "refusal": _parse_short_text,
    "thinking": _parse_short_text,
    "code": _parse_code,
    "tool_calls": _parse_tool_calls,
    "function_call": _parse_structure,
    "function_call_output": _parse_structure,
    "computer_screenshot": _parse_structure,
    "computer_action": _parse_structure,
}


def _text(block: Block, kind: str, path: str, maximum: int) -> str:
    """The text of a block, under its own member or under `text`, there bare or as `{"text": …}`."""
    member = kind if block.get(kind) is not None else "text"
    value = block.get(member)
    if isinstance(value, dict):
        value = value.get("text")
    where = f"{path}.{member}"
    if not isinstance(value, str):
        raise Invalid(f"{where} must be a text", param=where)
    if not 1 <= len(value) <= maximum:
        raise Invalid(f"{where} must have 1 to {maximum} characters, not {len(value)}", param=where)
    if "\0" in value:
        raise Invalid(f"{where} must not hold NUL characters", param=where)
    return value


def _texts(block: Block, members: tuple[str, ...], path: str) -> dict[str, str]:
    """Those of `members` that are given; each has to be a text that is not empty."""
    found = {}
    for member in members:
        value = block.get(member)
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise Invalid(f"{path}.{member} must be a text", param=f"{path}.{member}")
        found[member] = value
    return found


def _one_of(members: Mapping[str, str], member: str, allowed: tuple[str, ...], path: str) -> None:
    if member in members and members[member] not in allowed:
        where = f"{path}.{member}"
        raise Invalid(f"{where} must be one of {', '.join(allowed)}", param=where)


def _object(block: Block, kind: str) -> dict[str, Any]:
    """The object under `kind`, or the block itself where its members stand beside `type`."""
    given = block.get(kind)
    if isinstance(given, dict):
        return given
    return {name: value for name, value in block.items() if name not in ("type", kind)}
