"""JSON in and out of a request, through orjson.

Only the first JSON value of a body counts; what follows it is ignored
(contract/llm-api.md, section 1).
"""

from __future__ import annotations

import json
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from jan_server.http.errors import ApiError, invalid_request

_decoder = json.JSONDecoder()

# orjson reads deeper nesting than it writes: 254 levels, of which some are left for what is put around.
_FLAT_ENOUGH = 200
_ROOM_LEVELS = 16


class OrjsonResponse(Response):
    """A JSON response that orjson renders."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Render plain data, dataclasses, UUIDs and times as JSON bytes."""
        return orjson.dumps(content)


def malformed_json(detail: str) -> ApiError:
    """The error of a body that has no complete first JSON value."""
    return invalid_request(f"the body is not valid JSON: {detail}", code="invalid_json")


def parse_json(body: bytes) -> Any:
    """Parse the first JSON value of `body`.

    Raises:
        ApiError: 400 when there is no complete first value, or one that is nested too deeply.
    """
    value = first_value(body)
    if body.count(b"[") + body.count(b"{") > _FLAT_ENOUGH and not _can_be_written(value):
        place = _place_of_depth(value)
        raise invalid_request(
            f"{place or 'the body'} is nested too deeply", param=place or None, code=place or "invalid_json"
        )
    return value


def _can_be_written(value: Any) -> bool:
    for _ in range(_ROOM_LEVELS):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _place_of_depth(value: Any) -> str:
    """The member that is nested too deeply, with its place in a list; empty when the body is no object."""
    for name, member in value.items() if isinstance(value, dict) else ():
        if not _can_be_written(member):
            for index, entry in enumerate(member if isinstance(member, list) else ()):
                if not _can_be_written(entry):
                    return f"{name}[{index}]"
            return str(name)
    return ""


def first_value(body: bytes) -> Any:
    """The first JSON value of `body`, however deeply it is nested.

    Raises:
        ApiError: 400 when there is no complete first value.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as failure:
        if not body.strip():
            raise malformed_json("it is empty") from failure
        try:
            text = body.decode().lstrip()
            _, end = _decoder.raw_decode(text)
            # The standard decoder only finds the end: it lets NaN and lone surrogates pass, which
            # nothing behind could write again.
            return orjson.loads(text[:end])
        except (ValueError, RecursionError):
            raise malformed_json(str(failure)) from failure


async def read_body(receive: Receive) -> bytes:
    """A request's whole body, straight from ASGI.

    Raises:
        ClientDisconnect: The caller left before it was there.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_json(request: Request) -> Any:
    """The first JSON value of the request's body; ApiError 400 when it is malformed."""
    return parse_json(await request.body())


async def read_json_object(request: Request) -> dict[str, Any]:
    """The request's body, which has to be a JSON object; ApiError 400 otherwise."""
    value = await read_json(request)
    if not isinstance(value, dict):
        raise invalid_request("the body must be a JSON object", code="invalid_json")
    return value
