"""How large an answer of a provider may be: a larger one is given up before it fills the memory."""

from __future__ import annotations

import aiohttp

from jan_server.inference import upstream_errors
from jan_server.inference.provider import Provider

MEGABYTE = 2**20
_ERROR_BODY_BYTES = 65536


def check_begun(provider: Provider, response: aiohttp.ClientResponse, most: int, first: bytes = b"") -> None:
    """Refuse an answer that says in its headers, or shows at its beginning, that it is too large.

    Args:
        provider: Who answers.
        response: The answer, of which the headers are there.
        most: The most bytes that it may have; 0 for any number.
        first: What was read of its body.

    Raises:
        UpstreamError: It is larger (502).
    """
    if most and max(response.content_length or 0, len(first)) > most:
        raise upstream_errors.too_large(provider, most)


async def read_whole(provider: Provider, response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer; `most` as above.

    Raises:
        UpstreamError: It is larger (502); the connection is of no further use then.
        aiohttp.ClientError: It broke off.
    """
    check_begun(provider, response, most)
    if not most:
        return await response.read()
    parts, size = [], 0
    while chunk := await response.content.readany():
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            raise upstream_errors.too_large(provider, most)
    return b"".join(parts)


async def read_beginning(content: aiohttp.StreamReader, first: bytes = b"") -> bytes:
    """As much of a body as an error needs, after what was read of it already."""
    parts, size = [first], len(first)
    while size < _ERROR_BODY_BYTES and (chunk := await content.readany()):
        parts.append(chunk)
        size += len(chunk)
    return b"".join(parts)
