"""The journal of calls that are not in the database yet: files that outlive a crash of the process.

Each call is appended as one line of JSON before anything else happens to it. A file belongs to
the process that holds its lock; files whose process is gone are taken over by the next one. A
file goes when its calls are in the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import orjson

logger = logging.getLogger("jan.llm-api.usage")

SUFFIX = ".jsonl"
_OPENING_SUFFIX = ".new"
_REFUSED_SUFFIX = ".refused"


@dataclass(slots=True)
class JournalFile:
    """One file of the journal, or calls that could not be written to one.

    Attributes:
        path: Where it is; None when the folder cannot be written.
        descriptor: The open, locked file.
        lines: The calls in it that memory holds too; None when they are only in the file.
        size: How many calls it has.
    """

    path: Path | None = None
    descriptor: int = -1
    lines: list[bytes] | None = field(default_factory=list)
    size: int = 0

    def append(self, line: bytes) -> None:
        """Add one call; it stays in memory alone when the disk is full."""
        self.size += 1
        if self.lines is not None:
            self.lines.append(line)
        if self.descriptor >= 0:
            try:
                os.write(self.descriptor, line + b"\n")
            except OSError as failure:
                logger.warning("the journal of calls cannot be written: %s", failure)
                self._leave_disk()

    def calls(self) -> list[bytes]:
        """The calls in it, one JSON object each; a line that was cut off by a crash is left out."""
        if self.lines is not None:
            return self.lines
        assert self.path is not None
        return [line for line in self.path.read_bytes().split(b"\n") if _is_object(line)]

    def forget_lines(self) -> None:
        """Keep the calls in the file only, where there is one."""
        if self.descriptor >= 0:
            self.lines = None

    def remove(self) -> None:
        """The calls are in the database: the file goes."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.close()

    def set_aside(self, refused: Sequence[bytes]) -> None:
        """The database does not take these calls: keep them for people to look at. The others are written."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                if refused:
                    aside = self.path.with_suffix(_REFUSED_SUFFIX)
                    aside.touch(mode=0o600)
                    aside.write_bytes(b"\n".join(refused) + b"\n")
                self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file, which stays for the next process if it was not removed."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _leave_disk(self) -> None:
        # What is in the file so far has to be in memory as well before the file is given up.
        if self.lines is None:
            assert self.path is not None
            self.lines = [line for line in self.path.read_bytes().split(b"\n") if _is_object(line)]
        self.close()


def new_file(folder: Path | None) -> JournalFile:
    """A new, locked file; one without a place on disk when `folder` is None or cannot be written."""
    if folder is None:
        return JournalFile()
    path = folder / f"{uuid4().hex}{SUFFIX}"
    opening = path.with_suffix(_OPENING_SUFFIX)
    try:
        descriptor = os.open(opening, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        # Locked before others can see it under its name.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opening.rename(path)
    except OSError as failure:
        logger.warning("the journal of calls has no place on disk: %s", failure)
        return JournalFile()
    return JournalFile(path, descriptor)


def left_files(folder: Path) -> Iterator[JournalFile]:
    """The files of processes that are gone, locked for this one."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have written its calls to the database and removed it meanwhile.
            gone = os.fstat(descriptor).st_nlink == 0
        except OSError:
            gone = True
        if gone:
            os.close(descriptor)
            continue
        yield JournalFile(path, descriptor, None)


def _is_object(line: bytes) -> bool:
    if not line:
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
