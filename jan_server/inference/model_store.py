"""The models on this machine: GGUF files in `$JAN_HOME/models`, with a manifest of where they came from.

A file gets its name only when it is complete and checked; until then it is called `….part`. Files that
people put into the folder themselves count as models too.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

import orjson

from jan_server.inference.gguf import GgufHeader, read_header

CHUNK_BYTES = 1 << 20
FETCH_PREFIX = ".fetch-"

Progress = Callable[[int, int], None]
"""Told how many bytes are there, and how many there will be (0 when that is not known).

An exception that it raises ends the fetch.
"""


class ModelMissingError(RuntimeError):
    """There is no such model on this machine.

    Attributes:
        message: What is missing.
        remedy: What can be done about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


class ModelFetchError(RuntimeError):
    """A model could not be brought here; nothing incomplete is left under its name.

    Attributes:
        message: What went wrong.
        remedy: What can be done about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One model in the store.

    Attributes:
        name: What people call it, and the id under which the engine offers it.
        file: The name of its file in the folder.
        size: Bytes.
        sha256: Of the file; empty for files that people put there themselves.
        source: Where it came from.
        licence: What it may be used for, as far as known.
    """

    name: str
    file: str
    size: int
    sha256: str = ""
    source: str = ""
    licence: str = ""


class ModelStore:
    """The folder of models.

    Args:
        folder: It is made with the first model.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = folder / "manifest.json"

    def models(self) -> list[StoredModel]:
        """Every model whose file is there, by name."""
        known = {model.file: model for model in self._read_manifest()}
        found = []
        for path in sorted(self.folder.glob("*.gguf")):
            size = path.stat().st_size
            model = known.get(path.name)
            if model is None or model.size != size:
                model = StoredModel(model_name(path), path.name, size, source="put there by hand")
            found.append(model)
        return sorted(found, key=lambda model: model.name)

    def find(self, name: str) -> StoredModel | None:
        """The model of that name, if it is there."""
        return next((model for model in self.models() if model.name == name), None)

    def path(self, model: StoredModel) -> Path:
        """Where a model's file is."""
        return self.folder / model.file

    def header(self, model: StoredModel) -> GgufHeader:
        """What a model's file says about itself.

        Raises:
            InvalidGgufError: The file is not usable.
        """
        return read_header(self.path(model))

    def partial(self, file: str) -> Path:
        """Where the bytes of a file are collected until they are complete; the folder is made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder / f"{file}.part"

    def adopt(self, partial: Path, model: StoredModel) -> None:
        """Give a complete and checked file its name, and note where it came from."""
        with self._locked():
            partial.replace(self.path(model))
            others = [other for other in self._read_manifest() if other.file != model.file]
            self._write_manifest([*others, model])

    def remove(self, name: str) -> StoredModel:
        """Delete a model.

        Raises:
            ModelMissingError: There is no model of that name.
        """
        with self._locked():
            model = self.find(name)
            if model is None:
                raise ModelMissingError(f"there is no model {name!r}", "see: jan models list")
            self.path(model).unlink(missing_ok=True)
            self._write_manifest([other for other in self._read_manifest() if other.file != model.file])
        return model

    def check_space(self, size: int) -> None:
        """Refuse a file for which the disk has no room.

        Raises:
            ModelFetchError: The disk is too full.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise ModelFetchError(
                f"the model needs {size / 1e9:.1f} GB and {self.folder} has {free / 1e9:.1f} GB left",
                "make room, or keep JAN_HOME on another disk",
            )

    def _read_manifest(self) -> list[StoredModel]:
        try:
            entries = orjson.loads(self._manifest.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return []
        names = {entry.name for entry in fields(StoredModel)}
        return [
            StoredModel(**{key: value for key, value in entry.items() if key in names}) for entry in entries
        ]

    def _write_manifest(self, models: list[StoredModel]) -> None:
        text = orjson.dumps([asdict(model) for model in models], option=orjson.OPT_INDENT_2)
        partial = self._manifest.with_suffix(".part")
        partial.write_bytes(text)
        partial.replace(self._manifest)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Only one process fetches at a time: the next one waits, and finds what the first one brought."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / ".fetching").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Left behind by a process that was killed while it fetched.
            for leftover in self.folder.glob(f"{FETCH_PREFIX}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def model_name(path: Path) -> str:
    """The name of a model whose file has no other: the file's name, tidy enough for a model id."""
    stem = path.name.removesuffix(".gguf").lower()
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in stem).strip("-.")


def copy_hashed(source: IO[bytes], target: IO[bytes], size: int, progress: Progress) -> str:
    """Copy all bytes of `source`; the answer is their sha256 in hex."""
    digest = hashlib.sha256()
    done = 0
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        progress(done, size)
    return digest.hexdigest()


def no_progress(done: int, total: int) -> None:
    """For those who do not want to know."""
