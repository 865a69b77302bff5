"""The built-in model of embeddings: the vectors of WordLlama, one a token, averaged over a text.

The Python package `wordllama` carries vectors and tokenizer; they are read at the first request, and
nothing of the package is imported: it would set up logging of its own. Meaning is caught by words alone,
not by their order, which is enough to find texts that belong together, in well under a millisecond.

Source: WordLlama (https://github.com/dleemiller/WordLlama, MIT), model l2_supercat with 256 dimensions.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jan_server.inference.embedder import Embedded, Input, InputError

if TYPE_CHECKING:
    from numpy import float16, float32
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

MODEL = "wordllama-256"
DIMENSIONS = 256
MAXIMUM_TOKENS = 8192
"""Tokens of one input at the most, as many as OpenAI's models take."""

_PACKAGE = "wordllama"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_LONGEST_TOKEN = 16
_AT_ONCE = 2
_BATCH = 64


@dataclass(frozen=True, slots=True)
class _Loaded:
    table: NDArray[float16]
    tokenizer: Tokenizer


class WordLlamaEmbedder:
    """Computes embeddings in threads, at most two at a time."""

    model = MODEL
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self._loaded: _Loaded | None = None
        self._loading = asyncio.Lock()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def embed(self, inputs: Sequence[Input], dimensions: int = DIMENSIONS) -> Embedded:
        """Compute the embeddings of `inputs`; a caller who leaves ends it after the batch under way.

        Args:
            inputs: What is embedded.
            dimensions: How long the vectors are to be. The model is made so that the first 64 and
                128 numbers serve as well.

        Raises:
            InputError: An input has too many tokens, or is one of token ids.
        """
        loaded = await self._model()
        import numpy

        parts: list[NDArray[float32]] = []
        tokens = 0
        for start in range(0, len(inputs), _BATCH):
            async with self._slots:
                vectors, count = await asyncio.to_thread(
                    _embed, loaded, inputs[start : start + _BATCH], start, dimensions
                )
            parts.append(vectors)
            tokens += count
        return Embedded(numpy.concatenate(parts), tokens)

    async def _model(self) -> _Loaded:
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load)
            return self._loaded


def is_installed() -> bool:
    """Whether the package that carries the model is there."""
    return importlib.util.find_spec(_PACKAGE) is not None


def _load() -> _Loaded:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0])
    table = load_file(folder / _WEIGHTS)["embedding.weight"]
    return _Loaded(table, Tokenizer.from_file(str(folder / _TOKENIZER)))


def _embed(
    loaded: _Loaded, inputs: Sequence[Input], start: int, dimensions: int
) -> tuple[NDArray[float32], int]:
    import numpy

    vectors = numpy.zeros((len(inputs), dimensions), dtype=numpy.float32)
    total = 0
    for index, given in enumerate(inputs):
        ids = _token_ids(loaded, given, start + index)
        total += len(ids)
        if ids:
            vector = loaded.table[ids].astype(numpy.float32).mean(axis=0)[:dimensions]
            length = numpy.linalg.norm(vector)
            vectors[index] = vector / length if length else vector
    return vectors, total


def _token_ids(loaded: _Loaded, given: Input, index: int) -> list[int]:
    if not isinstance(given, str):
        # Clients that send ids have those of OpenAI's vocabularies; here they would be other words.
        raise InputError(
            index,
            f"{MODEL} takes texts and no token ids, which belong to the vocabulary of another model; "
            "in LangChain say OpenAIEmbeddings(check_embedding_ctx_length=False)",
            "unsupported_input",
        )
    # Looking at the length first keeps a huge text from being taken apart only to be refused.
    if len(given) > MAXIMUM_TOKENS * _LONGEST_TOKEN:
        raise _too_long(index, f"its {len(given)} characters are more than that")
    ids: list[int] = loaded.tokenizer.encode(given, add_special_tokens=False).ids
    if len(ids) > MAXIMUM_TOKENS:
        raise _too_long(index, f"it has {len(ids)}")
    return ids


def _too_long(index: int, detail: str) -> InputError:
    return InputError(
        index, f"one input has at most {MAXIMUM_TOKENS} tokens; {detail}", "context_length_exceeded"
    )
