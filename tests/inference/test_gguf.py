"""What is read from a model file, and how an unusable one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.inference.gguf import InvalidGgufError, read_header
from tests.inference.gguf_files import gguf_bytes, write_gguf


def test_the_header_tells_what_the_model_is(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "tiny.gguf"))
    assert (header.architecture, header.name, header.context_length) == ("llama", "Tiny", 4096)
    assert (header.quantisation, header.licence, header.tensors) == ("Q4_K_M", "mit", 2)
    assert header.chat_template == "{{ messages }}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a GGUF file"),
        (b"<html>", "not a GGUF file"),
        (b"GGUF\x63\0\0\0" + b"\0" * 64, "version 99"),
        (gguf_bytes()[:60], "damaged"),
        (gguf_bytes()[:-3000], "cut off"),
    ],
    ids=["empty", "web page", "version", "half a header", "half the weights"],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidGgufError, match=words) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidGgufError, match="No such file"):
        read_header(tmp_path / "none.gguf")


@given(st.integers(0, 400), st.binary(min_size=1, max_size=16))
def test_no_damage_gives_anything_but_a_header_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    whole = bytearray(gguf_bytes(weights=64))
    whole[at : at + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(bytes(whole))
    try:
        read_header(path)
    except InvalidGgufError:
        return
