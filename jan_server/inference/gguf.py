"""Reads what a GGUF file says about itself: architecture, context length, chat template, quantisation.

Source: the GGUF specification, versions 2 and 3 (a magic, counts, then typed key-value pairs).
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
# The scalar value types by their number, as formats of `struct` (little-endian).
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_SIZES = {kind: struct.calcsize(form) for kind, form in _SCALARS.items()}
_LARGEST_COUNT = 1 << 20
_TOOLS = re.compile(r"\{[{%][^}]*\btools\b")
# What reading a header that makes no sense ends in.
_NONSENSE = (struct.error, UnicodeDecodeError, KeyError, OverflowError, ZeroDivisionError, RecursionError)

_QUANTISATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}  # fmt: skip


class InvalidGgufError(ValueError):
    """A file is not a usable GGUF file; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says about itself.

    Attributes:
        version: Of the format, 2 or 3.
        architecture: For example `llama`; empty when not said.
        name: The model's own name; empty when not said.
        context_length: Tokens that the model was trained for; 0 when not said.
        quantisation: For example `Q4_1`; empty when not said.
        licence: For example `apache-2.0`; empty when not said.
        chat_template: A Jinja template; empty when there is none.
        tensors: How many tensors there are.
    """

    version: int
    architecture: str
    name: str
    context_length: int
    quantisation: str
    licence: str
    chat_template: str
    tensors: int

    @property
    def knows_tools(self) -> bool:
        """Whether the chat template has a place for tools."""
        return _TOOLS.search(self.chat_template) is not None


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file; the weights are not touched.

    Raises:
        InvalidGgufError: The file is not there, not readable, no GGUF file, or cut off in its header.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise InvalidGgufError(f"{path} is not a GGUF file")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                reader = _Reader(data, path)
                header = reader.header()
                if reader.last_tensor_start() >= len(data):
                    raise InvalidGgufError(f"{path} is cut off: weights are missing at its end")
                return header
    except OSError as error:
        raise InvalidGgufError(f"{path} cannot be read: {error.strerror or error}") from error
    except _NONSENSE as error:
        raise InvalidGgufError(f"{path} is damaged: its header breaks off or makes no sense") from error


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = len(_MAGIC)
        self._tensors = 0
        self._alignment = 32

    def header(self) -> GgufHeader:
        version = self._scalar("<I")
        if version not in (2, 3):
            raise InvalidGgufError(
                f"{self._path} has version {version} of GGUF; versions 2 and 3 are understood"
            )
        tensors, count = self._scalar("<Q"), self._scalar("<Q")
        if count > _LARGEST_COUNT:
            raise OverflowError
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self._text()
            values[key] = self._value(self._scalar("<I"))
        self._tensors = tensors
        self._alignment = int(values.get("general.alignment") or self._alignment)
        architecture = _text_of(values.get("general.architecture"))
        context = values.get(f"{architecture}.context_length")
        file_type = values.get("general.file_type")
        return GgufHeader(
            version=version,
            architecture=architecture,
            name=_text_of(values.get("general.name")),
            context_length=context if isinstance(context, int) else 0,
            quantisation=_QUANTISATIONS.get(file_type, "") if isinstance(file_type, int) else "",
            licence=_text_of(values.get("general.license")),
            chat_template=_text_of(values.get("tokenizer.chat_template")),
            tensors=tensors,
        )

    def last_tensor_start(self) -> int:
        """Where in the file the last tensor begins; to be asked after `header`."""
        last = 0
        for _ in range(self._tensors):
            self._text()
            dimensions = self._scalar("<I")
            self._at += 8 * dimensions + 4
            last = max(last, self._scalar("<Q"))
        start = -(-self._at // self._alignment) * self._alignment
        return start + last if self._tensors else 0

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _text(self) -> str:
        length = self._scalar("<Q")
        end = self._at + length
        if end > len(self._data):
            raise OverflowError
        text = self._data[self._at : end].decode()
        self._at = end
        return text

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            self._skip_array()
            return None
        return self._scalar(_SCALARS[kind])

    def _skip_array(self) -> None:
        """Arrays hold the vocabulary: large, and of no interest here."""
        kind, count = self._scalar("<I"), self._scalar("<Q")
        if kind in _SIZES:
            self._at += _SIZES[kind] * count
        elif kind == _STRING:
            read, data, at = struct.Struct("<Q").unpack_from, self._data, self._at
            for _ in range(count):
                at += 8 + read(data, at)[0]
            self._at = at
        else:
            for _ in range(count):
                self._skip_array()


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""
