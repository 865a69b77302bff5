"""An OpenAI-compatible upstream that answers the same at once: the floor of every measurement.

It speaks HTTP/1.1 straight from an asyncio protocol, so that it never is what limits a run.
Run it: `python -m benchmarks.constant_upstream PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

FRAMES = 100
MODEL = "constant"

_ANSWER = (
    b'{"id":"chatcmpl-constant","object":"chat.completion","created":1700000000,"model":"constant",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help you today?"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}'
)
_MODELS = (
    b'{"object":"list","data":[{"id":"constant","object":"model","created":1700000000,"owned_by":"bench"}]}'
)
_FRAME = (
    b'data: {"id":"chatcmpl-constant","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"constant",'
    b'"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _json(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


_ANSWER_BYTES = _json(_ANSWER)
_MODELS_BYTES = _json(_MODELS)
_FRAME_BYTES = _chunk(_FRAME)
_END_BYTES = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class ConstantUpstream(asyncio.Protocol):
    """One connection: reads requests one after the other and writes the constant answer."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) != -1:
            head = self._buffer[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) != -1:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"get"):
                self._transport.write(_MODELS_BYTES)
            elif b'"stream":true' in body or b'"stream": true' in body:
                self._transport.write(_STREAM_HEAD)
                self._frame(FRAMES)
            else:
                self._transport.write(_ANSWER_BYTES)

    def _frame(self, left: int) -> None:
        # One turn of the loop a frame, so that frames leave as a model's would: one by one.
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(_END_BYTES)
            return
        self._transport.write(_FRAME_BYTES)
        asyncio.get_running_loop().call_soon(self._frame, left - 1)


async def serve(port: int) -> None:
    """Serve on 127.0.0.1 until the process ends."""
    server = await asyncio.get_running_loop().create_server(ConstantUpstream, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
