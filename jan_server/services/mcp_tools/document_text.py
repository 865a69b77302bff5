"""The text of documents: PDF, DOCX, HTML, Markdown and plain text.

PDF, DOCX and HTML are taken apart in a child process whose memory and time are limited
(`document_readers.py`): such a file can be made to keep a reader busy for hours, or to unpack
to a thousand times its size, and no thread can be stopped.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import orjson

Kind = Literal["pdf", "docx", "html", "text"]

LARGEST_DOCUMENT_BYTES = 25 * 2**20
LONGEST_TEXT = 2_000_000
"""Characters that are read of a document at the most."""

READ_SECONDS = 30.0
"""The longest that a document is read."""

_READERS = "jan_server.services.mcp_tools.document_readers"
_AT_ONCE = 2
_KINDS_BY_TYPE: dict[str, Kind] = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/html": "html",
    "application/xhtml+xml": "html",
}
_KINDS_BY_ENDING: dict[str, Kind] = {".pdf": "pdf", ".docx": "docx", ".html": "html", ".htm": "html"}

_places = asyncio.Semaphore(_AT_ONCE)


class UnreadableDocument(ValueError):
    """No text can be had from the document; the text says why."""


@dataclass(frozen=True, slots=True)
class DocumentText:
    """What was read.

    Attributes:
        text: The text; paragraphs are separated by empty lines.
        title: The title that the document gives itself; empty when it has none.
        kind: What the document is.
        pages: How many pages a PDF has; 0 for all else.
        cut: Whether the document goes on behind what was read.
    """

    text: str
    title: str = ""
    kind: Kind = "text"
    pages: int = 0
    cut: bool = False


def document_kind(content: bytes, content_type: str = "", filename: str = "") -> Kind:
    """What a document is: by its first bytes, then by what is said of it."""
    head = content[:1024].lstrip()
    if head.startswith(b"%PDF-"):
        return "pdf"
    ending = PurePath(filename).suffix.lower()
    told = _KINDS_BY_TYPE.get(content_type.partition(";")[0].strip().lower())
    if head.startswith(b"PK\x03\x04"):
        return "docx"
    if told is None and head[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return told or _KINDS_BY_ENDING.get(ending, "text")


async def document_text(content: bytes, *, content_type: str = "", filename: str = "") -> DocumentText:
    """The text of a document, read off the event loop.

    Args:
        content: The bytes of the document.
        content_type: Its media type, where one is known.
        filename: Its name, where one is known.

    Raises:
        UnreadableDocument: It is too large, of a kind that is not read, damaged or encrypted, or
            takes more time or memory than a document may.
    """
    if len(content) > LARGEST_DOCUMENT_BYTES:
        raise UnreadableDocument(f"the document is larger than {LARGEST_DOCUMENT_BYTES // 2**20} megabytes")
    kind = document_kind(content, content_type, filename)
    if kind == "text":
        text = decoded(content)
        return DocumentText(text[:LONGEST_TEXT], cut=len(text) > LONGEST_TEXT)
    async with _places:
        return await _read_in_child(kind, content)


def decoded(content: bytes) -> str:
    """Plain text in UTF-8, in UTF-16 with a mark in front, or else in Windows-1252.

    Raises:
        UnreadableDocument: It is no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace").replace("\0", "")
    if b"\0" in content:
        raise UnreadableDocument("the document is neither text nor PDF, DOCX or HTML")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


async def _read_in_child(kind: Kind, content: bytes) -> DocumentText:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        _READERS,
        kind,
        str(LONGEST_TEXT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Nothing of the server's surroundings: a document must not find secrets there.
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
    )
    try:
        async with asyncio.timeout(READ_SECONDS):
            output, _ = await child.communicate(content)
    except TimeoutError as late:
        raise UnreadableDocument(f"reading the document takes more than {READ_SECONDS:g} seconds") from late
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    try:
        result = orjson.loads(output)
    except orjson.JSONDecodeError as failure:
        raise UnreadableDocument("the document is damaged, or takes more memory than it may") from failure
    if "error" in result:
        raise UnreadableDocument(result["error"])
    return DocumentText(kind=kind, **result)
