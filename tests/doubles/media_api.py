"""A scripted Media API on a real socket: it keeps files in memory, or fails when it is told to."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from jan_server.authentication.identity_header import HEADER, IdentitySigner


@dataclass
class MediaApi:
    """Use it as an async context manager; `ingest_url` is what MEDIA_INGEST_URL would be.

    Attributes:
        signer: Knows the identities that the platform signs.
        public_url: What the public address of a file begins with.
        files: The files by id.
        callers: The subjects on whose behalf it was called.
        owners: Whose a file is, where it is not everybody's.
        broken: Whether it answers 500.
        elsewhere: Whether it says where a file is instead of giving it.
    """

    signer: IdentitySigner
    public_url: str = "http://localhost:8000"
    files: dict[str, bytes] = field(default_factory=dict)
    callers: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    elsewhere: bool = False
    _server: TestServer | None = None

    @property
    def ingest_url(self) -> str:
        assert self._server is not None
        return str(self._server.make_url("/v1/media"))

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/media", self._ingest)
        app.router.add_get("/v1/media/{id}", self._read)
        app.router.add_get("/storage/{id}", self._storage)
        self._server = TestServer(app)
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.close()

    def _note(self, request: web.Request) -> None:
        self.callers.append(self.signer.verify(request.headers[HEADER]).subject)
        if self.broken:
            raise web.HTTPInternalServerError(text='{"error":"broken"}')

    async def _ingest(self, request: web.Request) -> web.Response:
        self._note(request)
        source = orjson.loads(await request.read())["source"]
        assert source["type"] == "data_url"
        head, _, packed = source["data_url"].partition(",")
        content = base64.b64decode(packed)
        media_id = f"jan_{len(self.files)}"
        self.files[media_id] = content
        body: dict[str, Any] = {
            "id": media_id,
            "mime": head.removeprefix("data:").partition(";")[0],
            "bytes": len(content),
            "deduped": False,
            "url": f"{self.public_url}/api/media/{media_id}",
        }
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    async def _read(self, request: web.Request) -> web.Response:
        self._note(request)
        media_id = request.match_info["id"]
        if media_id not in self.files or self.owners.get(media_id, self.callers[-1]) != self.callers[-1]:
            raise web.HTTPNotFound(text='{"error":"media not found"}')
        if self.elsewhere:
            assert self._server is not None
            url = str(self._server.make_url(f"/storage/{media_id}"))
            return web.Response(body=orjson.dumps({"url": url}), content_type="application/json")
        return web.Response(body=self.files[media_id], content_type="image/png")

    async def _storage(self, request: web.Request) -> web.Response:
        assert HEADER not in request.headers
        return web.Response(body=self.files[request.match_info["id"]], content_type="image/png")
