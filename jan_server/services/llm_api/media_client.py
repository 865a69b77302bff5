"""The platform's Media API as this service uses it: pictures are stored there and read by their ids.

It is asked on behalf of the caller, with the caller's own credential and the identity that this
service vouches for. Source: contract/media-api.md, section 2; contract/llm-api.md, section 8.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from jan_server.authentication.identity_header import HEADER, IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.http.errors import unavailable
from jan_server.services.llm_api.refusals import Missing

logger = logging.getLogger("jan.llm-api.media")

_ID = re.compile(r"jan_[0-9a-z]{1,64}\Z", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:data:[^,]{0,200};(?:base64,)?)?(jan_[0-9a-z]{1,64})\Z", re.IGNORECASE)

_ANSWER_BYTES = 65_536


def is_media_id(value: Any) -> bool:
    """Whether a value has the form of a medium's id."""
    return isinstance(value, str) and _ID.match(value) is not None


@dataclass(frozen=True, slots=True)
class MediaCaller:
    """Who is behind a call of the Media API.

    Attributes:
        principal: The caller.
        authorization: The `Authorization` header of the request; empty when it has none.
    """

    principal: Principal
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """A stored file: its id, and where anybody can read it."""

    id: str
    url: str


class MediaClient:
    """Stores and reads files.

    Args:
        session: The process's pooled client.
        signer: Vouches for callers.
        ingest_url: Where files are stored; one is read below that, by its id.
        public_url: What the public address of a file begins with, less `/api/media/…`.
        seconds: How long a call may take.
        maximum_bytes: The largest file that is read.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        signer: IdentitySigner,
        *,
        ingest_url: str,
        public_url: str,
        seconds: float,
        maximum_bytes: int,
    ) -> None:
        self._session = session
        self._signer = signer
        self._ingest = URL(ingest_url)
        self._public = URL(f"{public_url.rstrip('/')}/api/media/")
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._maximum = maximum_bytes

    def id_in(self, url: str) -> str | None:
        """The id that stands in place of an address, or in one of this installation's own addresses.

        It stands there bare, or as `data:<type>;jan_…` or `data:<type>;base64,jan_…`
        (contract/media-api.md, section 5). None for any other address.
        """
        if (found := _REFERENCE.match(url)) is not None:
            return found[1].lower()
        if url[:5].lower() == "data:":
            return None
        try:
            given = URL(url)
            if given.origin() != self._public.origin() or not given.path.startswith(self._public.path):
                return None
        except ValueError:
            return None
        media_id = given.path.removeprefix(self._public.path)
        return media_id if is_media_id(media_id) else None

    async def store(self, data_url: str, caller: MediaCaller) -> StoredMedia | None:
        """Store a file; None when that is not possible now, which the log explains.

        Args:
            data_url: The file as a `data:` URL in base64.
            caller: On whose behalf.
        """
        body = {"source": {"type": "data_url", "data_url": data_url}}
        try:
            async with self._session.post(
                self._ingest,
                data=orjson.dumps(body),
                headers={**self._headers(caller), "Content-Type": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(_ANSWER_BYTES)
                stored = _stored(orjson.loads(answer)) if response.status == 200 else None
                if stored is None:
                    logger.warning("the Media API did not store a file: status %d", response.status)
                return stored
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            logger.warning("the Media API cannot store a file: %s", failure or type(failure).__name__)
            return None

    async def read(self, media_id: str, caller: MediaCaller, *, param: str) -> bytes:
        """Read a stored file.

        Args:
            media_id: Its id.
            caller: On whose behalf.
            param: The member of the request that names it.

        Raises:
            Missing: It is unknown, or not for this caller.
            ApiError: 503 when the Media API cannot be reached or fails.
        """
        try:
            status, headers, content = await self._get(self._ingest / media_id, self._headers(caller))
            if status == 200 and headers.get("Content-Type", "").startswith("application/json"):
                # With MEDIA_PROXY_DOWNLOAD off it says where its storage has the file.
                status, headers, content = await self._get(URL(orjson.loads(content)["url"]), {})
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as failure:
            logger.warning("the Media API cannot be read: %s", failure or type(failure).__name__)
            raise unavailable("the Media API cannot be reached; try again shortly") from failure
        if status in (400, 401, 403, 404):
            raise Missing(f"there is no media {media_id}", param=param)
        if status != 200:
            raise unavailable(f"the Media API failed with status {status}")
        if len(content) > self._maximum:
            raise Missing(f"media {media_id} is larger than {self._maximum} bytes", param=param)
        return content

    async def _get(self, url: URL, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.get(
            url, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as response:
            content = b""
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > self._maximum:
                    break
            return response.status, response.headers, content

    def _headers(self, caller: MediaCaller) -> dict[str, str]:
        headers = {HEADER: self._signer.sign(caller.principal)}
        if caller.authorization:
            headers["Authorization"] = caller.authorization
        return headers


def _stored(answer: Any) -> StoredMedia | None:
    media_id = answer.get("id") if isinstance(answer, dict) else None
    url = answer.get("url") if isinstance(answer, dict) else None
    if (
        not isinstance(media_id, str)
        or not isinstance(url, str)
        or not url.startswith(("http://", "https://"))
    ):
        return None
    return StoredMedia(media_id, url)
