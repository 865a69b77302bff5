"""Forms are read as they come, wherever the network cuts them, and written as others read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile
from starlette.requests import Request

from jan_server.http.errors import ApiError
from jan_server.http.multipart import (
    PART_END,
    MultipartReader,
    PartHead,
    content_type_of,
    form_boundary,
    form_end,
    part_start,
    read_form,
    write_form,
)


async def cut(content: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    at = 0
    for size in sizes:
        yield content[at : at + size]
        at += size
    yield content[at:]


async def all_parts(reader: MultipartReader) -> list[tuple[PartHead, bytes]]:
    found = []
    while (head := await reader.next_part()) is not None:
        found.append((head, await reader.content(10**6)))
    return found


def reader_of(content: bytes, boundary: bytes = b"b", sizes: list[int] | None = None) -> MultipartReader:
    return MultipartReader(cut(content, sizes or []), boundary)


names = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n"\\', exclude_categories=["C"]), min_size=1
)
parts = st.lists(
    st.tuples(
        st.builds(PartHead, names.map(lambda name: f"n{name}n"), st.none(), st.just("")),
        st.binary(max_size=80),
    ),
    min_size=1,
    max_size=4,
)


@given(parts, st.lists(st.integers(1, 30), max_size=20))
async def test_what_is_written_is_read_wherever_it_is_cut(
    given_parts: list[tuple[PartHead, bytes]], sizes: list[int]
) -> None:
    content, content_type = write_form(given_parts)
    boundary = form_boundary(content_type)
    assert boundary is not None
    assert await all_parts(reader_of(content, boundary, sizes)) == given_parts


async def test_starlette_reads_the_same() -> None:
    heads = [PartHead("model"), PartHead('a"b\r\nc', 'fi"le.png', "image/png")]
    content, content_type = write_form([(heads[0], b"m"), (heads[1], b"\x00\xff")])
    form = await request(content, content_type).form()
    assert form["model"] == "m"
    file = form["a%22b%0D%0Ac"]
    assert isinstance(file, UploadFile)
    assert (file.filename, file.content_type, await file.read()) == ("fi%22le.png", "image/png", b"\x00\xff")


async def test_parts_may_be_passed_over() -> None:
    content, content_type = write_form(
        [(PartHead("file", "a.bin"), b"x" * 100_000), (PartHead("model"), b"m")]
    )
    reader = read_form(request(content, content_type))
    head = await reader.next_part()
    assert head == PartHead("file", "a.bin", "application/octet-stream")
    assert head.is_file
    assert await reader.next_part() == PartHead("model")
    assert await reader.text(10) == "m"
    assert await reader.next_part() is None


async def test_a_part_has_a_limit() -> None:
    reader = reader_of(part_start(b"b", PartHead("a")) + b"x" * 11 + PART_END + form_end(b"b"))
    await reader.next_part()
    with pytest.raises(ApiError) as caught:
        await reader.content(10)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx',
        b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n--b--\r\n',
        b"--b\r\nbad header\r\n\r\nx\r\n--b--\r\n",
    ],
)
async def test_a_malformed_form_is_refused(content: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        await all_parts(reader_of(content))
    assert (caught.value.status, caught.value.code) == (400, "invalid_form")


async def test_a_field_has_to_be_text() -> None:
    reader = reader_of(part_start(b"b", PartHead("a")) + b"\xff" + PART_END + form_end(b"b"))
    await reader.next_part()
    with pytest.raises(ApiError):
        await reader.text(10)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=b"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_form(request(b"", content_type))
    assert caught.value.status == 400


def test_a_boundary_that_is_none_is_refused() -> None:
    with pytest.raises(ApiError):
        reader_of(b"", b"b" * 1000)
    assert content_type_of(b"b") == "multipart/form-data; boundary=b"


def request(content: bytes, content_type: str) -> Request:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": content}

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)
