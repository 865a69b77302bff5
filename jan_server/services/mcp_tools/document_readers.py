"""Readers of PDF, DOCX and HTML: a program of its own, started by `document_text.py`.

It takes a document on its standard input and writes what it read as JSON: `text`, `title`, `pages`
and `cut`, or `error`. Its memory and time are limited by the system.

Usage: `python -m jan_server.services.mcp_tools.document_readers <kind> <longest text>`
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any

MEMORY_BYTES = 2**30
CPU_SECONDS = 25
MOST_PAGES = 2000
LARGEST_UNPACKED_BYTES = 200 * 2**20
"""What a DOCX, which is a ZIP archive, may say that it unpacks to."""

_BLOCK_NAMES = (
    "address article aside blockquote br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hr li main nav ol p pre section table tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_UNSEEN = ("script", "style", "noscript", "template", "svg", "head")


class Unreadable(ValueError):
    """The document cannot be read; the text says why."""


class _Text:
    """Collects pieces of text up to a length."""

    def __init__(self, longest: int) -> None:
        self._pieces: list[str] = []
        self._left = longest
        self.cut = False

    def add(self, piece: str) -> bool:
        """Add a piece; False once there is no room for more."""
        if len(piece) > self._left:
            self.cut = True
        self._pieces.append(piece[: self._left])
        self._left -= min(len(piece), self._left)
        return not self.cut

    def joined(self) -> str:
        return "\n\n".join(piece for piece in self._pieces if piece)


def read_pdf(content: bytes, longest: int) -> dict[str, Any]:
    """The text of a PDF, page by page."""
    from pypdf import PdfReader

    reader = PdfReader(BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("the PDF is encrypted")
    text = _Text(longest)
    for number, page in enumerate(reader.pages):
        if number >= MOST_PAGES:
            text.cut = True
        if text.cut or not text.add(page.extract_text().strip()):
            break
    title = reader.metadata.title if reader.metadata is not None else ""
    return {"text": text.joined(), "title": title or "", "pages": len(reader.pages), "cut": text.cut}


def read_docx(content: bytes, longest: int) -> dict[str, Any]:
    """The text of a DOCX: paragraphs, headings in Markdown's manner, and tables row by row."""
    import docx
    from docx.table import Table

    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
            names = set(archive.namelist())
    except zipfile.BadZipFile as failure:
        raise Unreadable("the DOCX is damaged") from failure
    if "word/document.xml" not in names:
        raise Unreadable("the archive is no DOCX")
    if unpacked > LARGEST_UNPACKED_BYTES:
        raise Unreadable(f"the DOCX unpacks to more than {LARGEST_UNPACKED_BYTES // 2**20} megabytes")
    document = docx.Document(BytesIO(content))
    text = _Text(longest)
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            piece = "\n".join(" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows)
        else:
            style = (block.style.name or "") if block.style is not None else ""
            level = style.removeprefix("Heading ")
            piece = block.text.strip()
            if piece and style != level and level.isdigit():
                piece = f"{'#' * int(level)} {piece}"
        if not text.add(piece):
            break
    return {"text": text.joined(), "title": document.core_properties.title or "", "cut": text.cut}


def read_html(content: bytes, longest: int) -> dict[str, Any]:
    """The text that an HTML page shows, block by block."""
    from lxml import html

    if not content.strip():
        return {"text": "", "title": ""}
    root = html.document_fromstring(content)
    title = (root.findtext(".//title") or "").strip()
    text = _Text(longest)
    for block in _blocks(root):
        if not text.add(block):
            break
    return {"text": text.joined(), "title": title, "cut": text.cut}


def _blocks(root: Any) -> Iterator[str]:
    from lxml import etree

    line: list[str] = []
    unseen = 0
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event in ("comment", "pi"):
            if not unseen:
                line.append(node.tail or "")
            continue
        hidden = node.tag in _UNSEEN
        unseen += hidden if event == "start" else -hidden
        if node.tag in _BLOCKS and not unseen:
            if words := " ".join("".join(line).split()):
                yield words
            line.clear()
        if not unseen:
            line.append((node.text if event == "start" else node.tail) or "")
    if words := " ".join("".join(line).split()):
        yield words


def _limit() -> None:
    """Have the system end this process when it takes too much."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for limit, amount in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        try:
            resource.setrlimit(limit, (amount, amount))
        except (ValueError, OSError):
            # The surroundings allow less already, or the system knows no such limit.
            continue


def main() -> None:
    """Read the document on the standard input."""
    readers = {"pdf": read_pdf, "docx": read_docx, "html": read_html}
    kind, longest = sys.argv[1], int(sys.argv[2])
    _limit()
    try:
        result = readers[kind](sys.stdin.buffer.read(), longest)
        result["text"] = result["text"].replace("\0", "")
    except Unreadable as failure:
        result = {"error": str(failure)}
    except MemoryError:
        result = {"error": "the document takes more memory than it may"}
    except RecursionError:
        result = {"error": f"the {kind.upper()} is nested too deeply"}
    except Exception as failure:
        result = {"error": f"the {kind.upper()} is damaged: {str(failure)[:200] or type(failure).__name__}"}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
