"""Writes small GGUF files, so that tests of reading and moving them need no real model."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

METADATA: Mapping[str, str | int | list[str]] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 15,
    "general.license": "mit",
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "llama.context_length": 4096,
    "tokenizer.chat_template": "{{ messages }}",
}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value_of(value: str | int | list[str]) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(entry) for entry in value)


def gguf_bytes(metadata: Mapping[str, str | int | list[str]] = METADATA, *, weights: int = 4096) -> bytes:
    """A GGUF file with two tensors; the second one begins in the middle of the weights."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, len(metadata))
    pairs = b"".join(text(key) + value_of(value) for key, value in metadata.items())
    tensors = b"".join(
        text(f"tensor{number}") + struct.pack("<IQIQ", 1, weights // 8, 0, number * (weights // 2))
        for number in (0, 1)
    )
    whole = head + pairs + tensors
    return whole + b"\0" * (-len(whole) % 32) + b"\7" * weights


def write_gguf(path: Path, *, weights: int = 4096) -> Path:
    path.write_bytes(gguf_bytes(weights=weights))
    return path
