"""A recording on its way from a caller to a provider, passed on while it comes in.

The `model` part decides who gets it. Where it stands in front of the recording, as OpenAI's clients
send it, nothing is held back; otherwise the recording waits in a temporary file until the model is
known. The parts are written anew, so that no second `model` part, however it is disguised, can ask
the provider for another model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from tempfile import SpooledTemporaryFile
from typing import Self

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from jan_server.http.multipart import (
    PART_END,
    MultipartReader,
    PartHead,
    content_type_of,
    form_end,
    new_boundary,
    part_start,
    too_large,
)
from jan_server.services.llm_api.disconnect import CallerGone
from jan_server.services.llm_api.refusals import Invalid

FIELD_BYTES = 65_536
"""The longest field that is no file."""

MOST_FIELDS = 100

WAITING_BYTES = 256 * 2**20
"""The longest recording in front of the model's name."""

KEPT_BYTES = 2**20
"""A form up to this size can be sent to a second endpoint when the first one fails."""

_MEMORY_BYTES = 2**20
_CHUNK_BYTES = 65_536
_MODEL = "model"


class AudioUpload:
    """One form; it is what `inference.request_body.StreamedBody` asks for.

    Attributes:
        model: The model that the caller asks for.
        stream: Whether the caller asks for a stream.
        content_type: What is sent to the provider.
        ended: Set once everything was read from the caller.
        failure: Why it could not be read to its end.
    """

    def __init__(self, reader: MultipartReader) -> None:
        boundary = new_boundary()
        self.model = ""
        self.stream = False
        self.content_type = content_type_of(boundary)
        self.ended = asyncio.Event()
        self.failure: Exception | None = None
        self._reader = reader
        self._boundary = boundary
        self._provider_model = ""
        self._fields: list[tuple[PartHead, bytes]] = []
        self._waiting: list[tuple[PartHead, UploadFile]] = []
        self._next: PartHead | None = None
        self._parts = self._written()
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._first_kept = 0
        self._pull: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, reader: MultipartReader) -> Self:
        """Read a form up to its recording, or further where the model comes after it.

        Raises:
            Invalid: The model or the recording is missing, or there are two models.
            ApiError: 400 for a malformed form, 413 for one that is too large.
        """
        upload = cls(reader)
        try:
            await upload._read_ahead()
        except BaseException:
            upload.close()
            raise
        return upload

    async def _read_ahead(self) -> None:
        while (head := await self._reader.next_part()) is not None:
            if not head.is_file:
                await self._take_field(head)
            elif head.name == _MODEL:
                raise Invalid("model must be a text", param=_MODEL, code="invalid_type")
            elif self.model:
                self._next = head
                return
            else:
                await self._hold(head)
        self.ended.set()
        if not self.model:
            raise Invalid("model key is required", param=_MODEL, code="missing_required_parameter")
        if not self._waiting:
            raise Invalid("file is required: the recording", param="file", code="missing_required_parameter")

    def address(self, provider_model: str) -> None:
        """Say under which name the provider knows the model, before anything is sent to it.

        Where another provider got the form already, `can_be_sent_again` has to be true.
        """
        self._provider_model = provider_model
        if self._kept:
            self._kept[0] = self._model_part()

    @property
    def can_be_sent_again(self) -> bool:
        """Whether everything that was sent is kept."""
        return self._first_kept == 0 and self.failure is None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The form for the provider: what was sent before, then what comes in."""
        at = 0
        while True:
            while at >= self._first_kept + len(self._kept):
                # Whoever reads may be cancelled, because the provider hung up; what comes in is not
                # to be lost then, so it is read by a task of its own.
                if self._pull is None:
                    self._pull = asyncio.create_task(self._read(), name="read a recording")
                await asyncio.shield(self._pull)
            chunk = self._kept[at - self._first_kept]
            if not chunk:
                return
            at += 1
            yield chunk

    def close(self) -> None:
        """Let go of the caller, and of what lies in temporary files."""
        if self._pull is not None:
            self._pull.cancel()
        for _, held in self._waiting:
            held.file.close()

    async def _read(self) -> None:
        """Read one more piece; an empty one is the end."""
        try:
            chunk = await anext(self._parts, b"")
        except ClientDisconnect as failure:
            self.failure = CallerGone()
            raise self.failure from failure
        except Exception as failure:
            self.failure = failure
            raise
        finally:
            self._pull = None
        self._kept.append(chunk)
        self._kept_bytes += len(chunk)
        if self._kept_bytes > KEPT_BYTES:
            self._first_kept += len(self._kept) - 1
            self._kept = [chunk]

    async def _take_field(self, head: PartHead) -> None:
        content = await self._reader.content(FIELD_BYTES)
        if head.name == _MODEL:
            if self.model:
                raise _two_models()
            self.model = content.decode(errors="replace").strip()
            return
        if len(self._fields) == MOST_FIELDS:
            raise Invalid(f"the form has more than {MOST_FIELDS} fields", code="invalid_form")
        if head.name == "stream":
            self.stream = content.strip().lower() in (b"true", b"1")
        self._fields.append((head, content))

    async def _hold(self, head: PartHead) -> None:
        spool = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        held = UploadFile(spool, size=0)  # type: ignore[arg-type]  # as Starlette itself makes them
        self._waiting.append((head, held))
        async for chunk in self._reader.data():
            await held.write(chunk)
            if (held.size or 0) > WAITING_BYTES:
                raise too_large(WAITING_BYTES)
        await held.seek(0)

    def _model_part(self) -> bytes:
        return part_start(self._boundary, PartHead(_MODEL)) + self._provider_model.encode() + PART_END

    async def _written(self) -> AsyncGenerator[bytes, None]:
        boundary = self._boundary
        # A piece of its own, the first one: for another provider it is written anew.
        yield self._model_part()
        for head, content in self._fields:
            yield part_start(boundary, head) + content + PART_END
        for head, held in self._waiting:
            yield part_start(boundary, head)
            while chunk := await held.read(_CHUNK_BYTES):
                yield chunk
            yield PART_END
        while self._next is not None:
            if self._next.name == _MODEL:
                raise _two_models()
            yield part_start(boundary, self._next)
            async for chunk in self._reader.data():
                yield chunk
            yield PART_END
            self._next = await self._reader.next_part()
        self.ended.set()
        yield form_end(boundary)


def _two_models() -> Invalid:
    return Invalid("model may be given only once", param=_MODEL, code="invalid_value")
