"""Media in messages: where a picture is named by the id of a medium, the model gets the picture itself.

A model never sees an id, which would mean nothing to it. It gets the bytes, as a data URL, and
not an address: an engine on this machine fetches nothing, and a provider elsewhere cannot reach
an installation behind a router. What is stored keeps the id (contract/llm-api.md, section 7.1;
contract/media-api.md, section 5).
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jan_server.http.errors import ApiError
from jan_server.services.llm_api.image_files import image_type
from jan_server.services.llm_api.media_client import MediaCaller, MediaClient
from jan_server.services.llm_api.refusals import Invalid, Missing

AT_ONCE = 8
"""How many media of one request are read at the same time."""

MOST_BYTES = 100_000_000
"""How much the media of one request may have together, as data URLs."""

KEPT_SECONDS = 300.0
KEPT_BYTES = 64_000_000
"""For how long, and how much in all, media are kept for the next turns of their chats."""

_GONE = {"type": "text", "text": "[an image that is no longer stored]"}
_ID_LIKE = re.compile(r"(?:data:[^,]{0,200};(?:base64,)?)?jan_", re.IGNORECASE)

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part names something: the indices of message and part, the member, and its value there."""

    message: int
    part: int
    member: str
    value: str

    @property
    def param(self) -> str:
        return f"messages[{self.message}].content[{self.part}].{self.member}"


class MessageMedia:
    """Puts media into messages.

    Args:
        media: Reads them.
        seconds: How long the media of one request may take.
    """

    def __init__(self, media: MediaClient, *, seconds: float) -> None:
        self._media = media
        self._seconds = seconds
        self._kept = _KeptMedia()

    async def resolve(
        self, messages: list[Message], own: Sequence[Message], caller: MediaCaller
    ) -> list[Message]:
        """The messages that a model gets; the very same list where nothing names a medium.

        Args:
            messages: History and the request's own, in OpenAI's shapes. They stay as they are.
            own: The request's own, for the messages of refusals. What they name has to be there;
                a picture of the history that is gone is said to be.
            caller: On whose behalf media are read: nobody gets those of others.

        Raises:
            Invalid: Something looks like an id and is none, is no picture, or they are too large.
            Missing: There is no such medium for this caller.
            ApiError: 502 when the Media API does not give it.
        """
        found = {
            place: media_id for place in _places(messages) if (media_id := self._id_at(place)) is not None
        }
        if not found:
            return messages
        params = {self._asked_id(place): place.param for place in _places(own)}
        content = await self._read_all(dict.fromkeys(found.values()), params, caller)
        resolved = list(messages)
        for place, media_id in found.items():
            message = resolved[place.message]
            if message is messages[place.message]:
                resolved[place.message] = message = {**message, "content": list(message["content"])}
            parts = message["content"]
            parts[place.part] = _with_content(parts[place.part], place.member, content[media_id])
        return resolved

    def _id_at(self, place: _Place) -> str | None:
        """The id at a place; None for anything else, empty for something that only looks like one."""
        media_id = self._media.id_in(place.value)
        return "" if media_id is None and _ID_LIKE.match(place.value) else media_id

    def _asked_id(self, place: _Place) -> str | None:
        media_id = self._id_at(place)
        if media_id == "":
            raise Invalid(f"{place.param} holds no valid media id", param=place.param, code="invalid_value")
        return media_id

    async def _read_all(
        self, media_ids: Iterable[str], params: Mapping[str | None, str], caller: MediaCaller
    ) -> dict[str, str | None]:
        """The data URL of each medium; None for one of the history that is gone."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def read(media_id: str) -> str | None:
            if not media_id:
                return None
            async with turns:
                try:
                    return await self._read(media_id, caller, params.get(media_id, "conversation"))
                except Missing:
                    if media_id in params:
                        raise
                    return None

        tasks = {media_id: asyncio.create_task(read(media_id)) for media_id in media_ids}
        try:
            content = {media_id: await task for media_id, task in tasks.items()}
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        if sum(len(url) for url in content.values() if url) > MOST_BYTES:
            raise Invalid(
                f"the media of the messages are larger than {MOST_BYTES} bytes together",
                param="messages",
                code="media_too_large",
            )
        return content

    async def _read(self, media_id: str, caller: MediaCaller, param: str) -> str:
        key = (caller.principal.issuer, caller.principal.subject, media_id)
        if (kept := self._kept.find(key)) is not None:
            return kept
        try:
            async with asyncio.timeout(self._seconds):
                content = await self._media.read(media_id, caller, param=param)
        except Missing as failure:
            raise Missing(f"{param}: {failure.message}", param=param, code="media_not_found") from failure
        except (ApiError, TimeoutError) as failure:
            cause = getattr(failure, "message", "") or "the Media API does not answer in time"
            raise ApiError(
                502,
                f"{param}: media {media_id} cannot be read: {cause}",
                param=param,
                code="media_unavailable",
            ) from failure
        kind = image_type(content)
        if kind is None:
            raise Invalid(f"{param}: media {media_id} is no picture", param=param, code="invalid_value")
        url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        self._kept.keep(key, url)
        return url


class _KeptMedia:
    """Media of late, each for the caller that could read it."""

    def __init__(self) -> None:
        self._urls: OrderedDict[tuple[str, str, str], tuple[float, str]] = OrderedDict()
        self._bytes = 0

    def find(self, key: tuple[str, str, str]) -> str | None:
        found = self._urls.get(key)
        return None if found is None or time.monotonic() > found[0] else found[1]

    def keep(self, key: tuple[str, str, str], url: str) -> None:
        # The oldest stand first, since all of them are kept for the same time.
        self._drop(key)
        self._urls[key] = (time.monotonic() + KEPT_SECONDS, url)
        self._bytes += len(url)
        while self._bytes > KEPT_BYTES or next(iter(self._urls.values()))[0] < time.monotonic():
            self._drop(next(iter(self._urls)))
            if not self._urls:
                return

    def _drop(self, key: tuple[str, str, str]) -> None:
        _, url = self._urls.pop(key, (0.0, ""))
        self._bytes -= len(url)


def _places(messages: Iterable[Message]) -> Iterator[_Place]:
    """Where parts of messages say what they show."""
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, list):
            continue
        for number, part in enumerate(content):
            kind = part.get("type")
            given = part.get(kind) if kind in ("image_url", "file") else None
            if isinstance(given, str):
                yield _Place(index, number, kind, given)
            elif isinstance(given, dict):
                for member in ("url", "file_id", "file_data"):
                    if isinstance(value := given.get(member), str) and value:
                        yield _Place(index, number, f"{kind}.{member}", value)


def _with_content(part: Mapping[str, Any], member: str, url: str | None) -> dict[str, Any]:
    if url is None:
        return _GONE
    kind, _, inner = member.partition(".")
    if not inner:
        return {**part, kind: url}
    given = {name: value for name, value in part[kind].items() if name != inner}
    return {**part, kind: {**given, "file_data" if kind == "file" else "url": url}}
