"""Where models come from: the built-in one, a file on this machine, an address, a model hub.

| written | meaning |
|---|---|
| `smollm2-135m-instruct` | the built-in model |
| `/path/to/model.gguf` | copied into the store |
| `https://host/model.gguf` | downloaded |
| `hf:owner/repository/file.gguf` | downloaded from the model hub (`HF_ENDPOINT`, `HF_TOKEN`) |
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from jan_server.inference import builtin_model
from jan_server.inference.gguf import InvalidGgufError, read_header
from jan_server.inference.model_store import (
    CHUNK_BYTES,
    ModelFetchError,
    ModelMissingError,
    ModelStore,
    Progress,
    StoredModel,
    copy_hashed,
    model_name,
    no_progress,
)

HUB = "https://huggingface.co"

_READ_SECONDS = 30.0
_BACK = "jan config unset inference.llamacpp.model"
_OFFLINE = "check the network, or bring the file yourself: jan models pull /path/to/model.gguf"


def find_model(reference: str, store: ModelStore) -> tuple[str, Path]:
    """The name and the file of a model that is on this machine.

    Args:
        reference: A name that the store knows, or the path of a GGUF file.
        store: The models of this installation.

    Raises:
        ModelMissingError: It is not here; the text says what to do.
    """
    if is_path(reference):
        path = Path(reference).expanduser()
        if not path.is_file():
            raise ModelMissingError(
                f"the model file {path} is not there",
                f"put it there, or go back to the built-in model: {_BACK}",
            )
        return model_name(path), path
    model = store.find(reference)
    if model is None and reference == builtin_model.NAME:
        raise ModelMissingError("the built-in model is not on this machine yet", "run: jan models pull")
    if model is None:
        known = ", ".join(entry.name for entry in store.models()) or "none"
        raise ModelMissingError(
            f"there is no model {reference!r} here (there are: {known})",
            f"fetch it: jan models pull REFERENCE; or go back to the built-in model: {_BACK}",
        )
    return model.name, store.path(model)


def usable_reference(reference: str, store: ModelStore) -> str:
    """A reference as the settings keep it: a path in full, so that it means the same in every folder.

    Args:
        reference: A name that the store knows, the built-in model's (it may come later), or the path of a
            GGUF file.
        store: The models of this installation.

    Raises:
        ModelMissingError: The engine could not use it; the text says what to do.
    """
    if reference == builtin_model.NAME:
        return reference
    name, path = find_model(reference, store)
    return str(path.absolute()) if is_path(reference) else name


def fetch_model(
    reference: str,
    store: ModelStore,
    progress: Progress = no_progress,
    *,
    name: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> StoredModel:
    """Bring a model into the store.

    Args:
        reference: See the table of this module.
        store: Where it goes; a model that is there already is left as it is.
        progress: Told about the bytes.
        name: What to call it; by default the file's name says.
        environment: Where `HF_ENDPOINT` and `HF_TOKEN` are looked up.

    Raises:
        ModelFetchError: It cannot be had, or is no usable model.
    """
    if reference == builtin_model.NAME:
        return builtin_model.fetch(store, progress)
    if name is not None and store.find(name) is not None:
        raise ModelFetchError(f"there is a model {name!r} already", f"run: jan models remove {name}")
    with store.fetching():
        return _fetch(reference, store, progress, name, environment)


def _fetch(
    reference: str, store: ModelStore, progress: Progress, name: str | None, environment: Mapping[str, str]
) -> StoredModel:
    if reference.startswith("hf:"):
        url = _hub_address(reference.removeprefix("hf:"), environment)
        return _download(url, store, progress, name, reference, environment.get("HF_TOKEN", ""))
    if urlsplit(reference).scheme in ("http", "https"):
        return _download(reference, store, progress, name, reference, "")
    if is_path(reference):
        return _copy(Path(reference).expanduser(), store, progress, name)
    raise ModelFetchError(
        f"there is no model {reference!r} to fetch",
        f"use {builtin_model.NAME}, a path, an https address, or hf:owner/repository/file.gguf",
    )


def is_path(reference: str) -> bool:
    """Whether a reference means a file on this machine."""
    return reference.endswith(".gguf") and "://" not in reference and not reference.startswith("hf:")


def _copy(path: Path, store: ModelStore, progress: Progress, name: str | None) -> StoredModel:
    licence = _checked(path, path).licence
    size = path.stat().st_size
    store.check_space(size)
    partial = store.partial(path.name)
    with path.open("rb") as source, partial.open("wb") as target:
        digest = copy_hashed(source, target, size, progress)
    model = StoredModel(name or model_name(path), path.name, size, digest, str(path.absolute()), licence)
    store.adopt(partial, model)
    return model


def _hub_address(reference: str, environment: Mapping[str, str]) -> str:
    parts = reference.strip("/").split("/")
    if len(parts) < 3 or not parts[-1].endswith(".gguf"):
        raise ModelFetchError(
            f"the reference hf:{reference} names no file", "write hf:owner/repository/file.gguf"
        )
    hub = environment.get("HF_ENDPOINT", "").rstrip("/") or HUB
    return f"{hub}/{quote('/'.join(parts[:2]))}/resolve/main/{quote('/'.join(parts[2:]))}"


def _download(
    url: str, store: ModelStore, progress: Progress, name: str | None, source: str, token: str
) -> StoredModel:
    file = unquote(PurePosixPath(urlsplit(url).path).name)
    if not file.endswith(".gguf") or file.startswith("."):
        raise ModelFetchError(f"the address {source} is not one of a .gguf file", "check the address")
    partial = store.partial(file)
    digest = hashlib.sha256()
    begun = _bytes_of(partial, digest)
    tag_file = partial.with_name(partial.name + ".etag")
    headers = {"Accept-Encoding": "identity", "User-Agent": "jan-server"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if begun and tag_file.exists():
        headers |= {"Range": f"bytes={begun}-", "If-Range": tag_file.read_text()}
    try:
        with _opener().open(Request(url, headers=headers), timeout=_READ_SECONDS) as response:  # noqa: S310
            if response.status != 206:
                begun, digest = 0, hashlib.sha256()
            length = int(response.headers.get("Content-Length") or 0)
            total = begun + length if length else 0
            store.check_space(length)
            if tag := response.headers.get("ETag"):
                tag_file.write_text(tag)
            with partial.open("ab" if begun else "wb") as target:
                size = begun
                while chunk := response.read(CHUNK_BYTES):
                    target.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    progress(size, total)
    except HTTPError as error:
        if error.code == 416:
            partial.unlink(missing_ok=True)
        raise ModelFetchError(
            f"{source}: the server answers {error.code} {error.reason}", "check it"
        ) from error
    except (URLError, OSError, ValueError) as error:
        raise ModelFetchError(
            f"the model {source} cannot be downloaded: {_reason(error)}", _OFFLINE
        ) from error
    if total and size != total:
        raise ModelFetchError(f"the download of {source} broke off", "run the same command again to go on")
    licence = _checked(partial, source).licence
    tag_file.unlink(missing_ok=True)
    model = StoredModel(name or model_name(Path(file)), file, size, digest.hexdigest(), source, licence)
    store.adopt(partial, model)
    return model


def _bytes_of(partial: Path, digest: Any) -> int:
    """How many bytes an earlier try left; they are hashed."""
    if not partial.exists():
        return 0
    with partial.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return partial.stat().st_size


def _checked(path: Path, source: object) -> Any:
    try:
        return read_header(path)
    except InvalidGgufError as error:
        if path.suffix == ".part":
            path.unlink()
        raise ModelFetchError(f"the model {source} is not usable: {error}", "choose another file") from error


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to http(s) alone, and takes no credential to another host."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise URLError(f"it redirects to {newurl}")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
        return request


def _opener() -> OpenerDirector:
    return build_opener(_WebOnly)


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return str(getattr(reason, "strerror", None) or reason)
