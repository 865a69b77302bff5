"""Forms with files (`multipart/form-data`): read part by part as they come, and written.

What is read is never held as a whole; whoever reads decides what to keep. Parts are written anew
with plain heads, so that whoever reads them next understands the same.

Source: RFC 7578; HTML standard, section 4.10.21.8 (names are escaped as browsers do).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from jan_server.http.errors import ApiError, invalid_request

DEFAULT_FILE_TYPE = "application/octet-stream"

_ESCAPES = (('"', "%22"), ("\r", "%0D"), ("\n", "%0A"))


@dataclass(frozen=True, slots=True)
class PartHead:
    """What a part says about itself.

    Attributes:
        name: The field's name.
        filename: The file's name; None for a field that is no file.
        content_type: The media type; empty when the part names none.
    """

    name: str
    filename: str | None = None
    content_type: str = ""

    @property
    def is_file(self) -> bool:
        """Whether the part is a file."""
        return self.filename is not None


class MultipartReader:
    """Reads a form part by part.

    Args:
        chunks: The bytes of the body as they come.
        boundary: What separates the parts, from the `Content-Type`.
    """

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks = chunks
        self._events: deque[PartHead | bytes | None] = deque()
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_head,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as failure:
            raise _malformed(str(failure)) from failure

    async def next_part(self) -> PartHead | None:
        """The head of the next part, what is left of the current one passed over; None at the end.

        Raises:
            ApiError: 400 when the form is malformed or cut off.
        """
        while True:
            event = await self._next_event()
            if isinstance(event, PartHead):
                return event
            if event is None and self._ended and not self._events:
                return None

    async def data(self) -> AsyncIterator[bytes]:
        """The bytes of the current part as they come.

        Raises:
            ApiError: 400 when the form is malformed or cut off.
        """
        while isinstance(event := await self._next_event(), bytes):
            yield event

    async def text(self, maximum: int) -> str:
        """The current part as text.

        Raises:
            ApiError: 400 when it is no UTF-8, 413 when it has more than `maximum` bytes.
        """
        content = await self.content(maximum)
        try:
            return content.decode()
        except UnicodeDecodeError as failure:
            raise _malformed("a field is not UTF-8") from failure

    async def content(self, maximum: int) -> bytes:
        """The bytes of the current part.

        Raises:
            ApiError: 413 when there are more than `maximum`; 400 when the form is malformed.
        """
        kept = bytearray()
        async for chunk in self.data():
            kept += chunk
            if len(kept) > maximum:
                raise too_large(maximum)
        return bytes(kept)

    async def _next_event(self) -> PartHead | bytes | None:
        """The next head, the next bytes, or None at the end of a part and of the form."""
        while not self._events:
            if self._ended:
                return None
            chunk = await anext(self._chunks, None)
            if chunk is None:
                raise _malformed("it is cut off")
            try:
                self._parser.write(chunk)
            except FormParserError as failure:
                raise _malformed(str(failure)) from failure
        return self._events.popleft()

    def _begin_part(self) -> None:
        self._headers = {}

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end_head(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise FormParserError("a part has no name")
        filename = options.get(b"filename")
        self._events.append(
            PartHead(
                options[b"name"].decode(errors="replace"),
                None if filename is None else filename.decode(errors="replace"),
                self._headers.get(b"content-type", b"").decode("latin-1"),
            )
        )

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _end_part(self) -> None:
        self._events.append(None)

    def _end(self) -> None:
        self._ended = True


def form_boundary(content_type: str) -> bytes | None:
    """The boundary of a form with this `Content-Type`; None when it is no such form."""
    kind, options = parse_options_header(content_type)
    return options.get(b"boundary") if kind == b"multipart/form-data" else None


def read_form(request: Request) -> MultipartReader:
    """A reader of the request's body.

    Raises:
        ApiError: 400 when the body is no such form.
    """
    boundary = form_boundary(request.headers.get("content-type", ""))
    if not boundary:
        raise invalid_request(
            "the body must be multipart/form-data with a boundary", code="unsupported_content_type"
        )
    return MultipartReader(request.stream().__aiter__(), boundary)


def new_boundary() -> bytes:
    """A boundary that nobody can foresee, so that no content can pretend to hold it."""
    return secrets.token_hex(16).encode()


def content_type_of(boundary: bytes) -> str:
    """The `Content-Type` of a form with this boundary."""
    return f"multipart/form-data; boundary={boundary.decode()}"


def part_start(boundary: bytes, head: PartHead) -> bytes:
    """The bytes in front of a part's content; the content is followed by `PART_END`."""
    disposition = f'form-data; name="{_escaped(head.name)}"'
    if head.filename is None:
        return b"--" + boundary + f"\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    told = head.content_type
    content_type = told if told.isascii() and told.isprintable() and told else DEFAULT_FILE_TYPE
    lines = f'{disposition}; filename="{_escaped(head.filename)}"\r\nContent-Type: {content_type}'
    return b"--" + boundary + f"\r\nContent-Disposition: {lines}\r\n\r\n".encode()


PART_END = b"\r\n"


def form_end(boundary: bytes) -> bytes:
    """The bytes behind the last part."""
    return b"--" + boundary + b"--\r\n"


def write_form(parts: Iterable[tuple[PartHead, bytes]]) -> tuple[bytes, str]:
    """A whole form and its `Content-Type`."""
    boundary = new_boundary()
    written = bytearray()
    for head, content in parts:
        written += part_start(boundary, head)
        written += content
        written += PART_END
    written += form_end(boundary)
    return bytes(written), content_type_of(boundary)


def too_large(maximum: int) -> ApiError:
    """The error for a part that is larger than it may be: 413."""
    return ApiError(413, f"a part of the form is larger than {maximum} bytes", code="request_too_large")


def _escaped(text: str) -> str:
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def _malformed(detail: str) -> ApiError:
    return invalid_request(f"the form is malformed: {detail}", code="invalid_form")
