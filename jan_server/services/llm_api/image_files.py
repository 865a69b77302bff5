"""Pictures as requests bring them: by URL, in base64, by the id of a medium, or as a file of a form."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jan_server.http.guarded_fetch import FetchFailed, FetchLimits, FetchRefused, GuardedFetcher
from jan_server.services.llm_api.media_client import MediaCaller, MediaClient, is_media_id
from jan_server.services.llm_api.refusals import Invalid

MAXIMUM_BYTES = 50 * 2**20
"""The largest picture, as OpenAI has it."""

FETCH_SECONDS = 15.0

_PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_SNIFFED_BYTES = 48
_FORMS = ("url", "b64_json", "id")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture.

    Attributes:
        content: Its bytes.
        content_type: Its media type.
        name: A file name for it.
    """

    content: bytes = field(repr=False)
    content_type: str
    name: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """Where a picture is: exactly one of `url`, `b64_json`, `id` and `file` is set.

    Attributes:
        param: The member of the request.
    """

    param: str
    url: str = ""
    b64_json: str = field(default="", repr=False)
    id: str = ""
    file: ImageFile | None = None


def parse_image_source(given: Any, *, param: str, code: str) -> ImageSource:
    """The source in a JSON member: `{"url"}`, `{"b64_json"}` or `{"id"}`, or a URL alone.

    Raises:
        Invalid: It is none of them.
    """
    if isinstance(given, str):
        given = {"url": given}
    if not isinstance(given, Mapping):
        raise Invalid(f"{param} must be an object with {', '.join(_FORMS)}", param=param, code=code)
    found = {form: given[form] for form in _FORMS if given.get(form)}
    if len(found) != 1:
        raise Invalid(f"{param} must have exactly one of {', '.join(_FORMS)}", param=param, code=code)
    [(form, value)] = found.items()
    if not isinstance(value, str):
        raise Invalid(f"{param}.{form} must be a string", param=f"{param}.{form}", code=code)
    source = {form: value}
    return ImageSource(
        param, url=source.get("url", ""), b64_json=source.get("b64_json", ""), id=source.get("id", "")
    )


class ImageReader:
    """Reads pictures from where requests say they are.

    Args:
        fetcher: Fetches what users name.
        media: Reads what the platform stores itself.
    """

    def __init__(self, fetcher: GuardedFetcher, media: MediaClient) -> None:
        self._fetcher = fetcher
        self._media = media

    async def read(self, source: ImageSource, caller: MediaCaller, *, code: str) -> ImageFile:
        """The picture.

        Args:
            source: Where it is.
            caller: Who asks for it.
            code: The code of refusals.

        Raises:
            Invalid: It cannot be read, or it is no picture.
            Missing: There is no such medium.
            ApiError: 503 when the Media API does not answer.
        """
        if source.file is not None:
            return source.file
        if source.b64_json:
            return _image(_decoded(source.b64_json, f"{source.param}.b64_json", code), source, code)
        media_id = source.id or self._media.id_in(source.url)
        if media_id:
            if not is_media_id(media_id):
                raise Invalid(f"{source.param}.id is no media id", param=f"{source.param}.id", code=code)
            content = await self._media.read(media_id, caller, param=source.param)
            return _image(content, source, code)
        if source.url[:5].lower() == "data:":
            return _image(_decoded(source.url, f"{source.param}.url", code), source, code)
        return await self._fetched(source, code)

    async def _fetched(self, source: ImageSource, code: str) -> ImageFile:
        param = f"{source.param}.url"
        limits = FetchLimits(size=MAXIMUM_BYTES, seconds=FETCH_SECONDS)
        try:
            found = await self._fetcher.fetch(source.url, headers={"Accept": "image/*"}, limits=limits)
        except (FetchRefused, FetchFailed) as failure:
            raise Invalid(f"{param}: {failure}", param=param, code=code) from failure
        if found.status != 200:
            raise Invalid(f"{param} answers with status {found.status}", param=param, code=code)
        return _image(found.body, source, code)


def image_type(content: bytes) -> str | None:
    """The media type of a picture, told by its first bytes; None when it is no known one."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for prefix, kind in _PREFIXES if content.startswith(prefix)), None)


def data_url(b64_json: str) -> str:
    """A picture in base64 as a `data:` URL."""
    if b64_json.startswith("data:"):
        return b64_json
    try:
        start = base64.b64decode(b64_json[:_SNIFFED_BYTES])
    except binascii.Error:
        start = b""
    return f"data:{image_type(start) or 'image/png'};base64,{b64_json}"


def _decoded(text: str, param: str, code: str) -> bytes:
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise Invalid(f"{param} must be a data URL in base64", param=param, code=code)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as failure:
        raise Invalid(f"{param} is not valid base64", param=param, code=code) from failure


def _image(content: bytes, source: ImageSource, code: str) -> ImageFile:
    kind = image_type(content)
    if kind is None:
        raise Invalid(
            f"{source.param} is no picture (PNG, JPEG, WebP, GIF, BMP or TIFF)", param=source.param, code=code
        )
    name = source.param.replace("[", "").replace("]", "")
    return ImageFile(content, kind, f"{name}.{kind.partition('/')[2]}")
