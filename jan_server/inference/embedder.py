"""What computes embeddings inside this process, without an HTTP server in between.

A provider without addresses answers through one of these: llm-api finds it by the provider's own
name of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

Input = str | Sequence[int]
"""A text, or its token ids in the vocabulary of the model."""


class InputError(ValueError):
    """An input that cannot be embedded; the text says why.

    Attributes:
        index: Its place among the inputs.
        code: A stable slug.
    """

    def __init__(self, index: int, message: str, code: str) -> None:
        super().__init__(message)
        self.index = index
        self.code = code


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of some inputs.

    Attributes:
        vectors: One row an input, each of length 1.
        tokens: How many tokens the inputs had.
    """

    vectors: NDArray[float32] = field(repr=False)
    tokens: int


class Embedder(Protocol):
    """A model of embeddings in this process.

    Attributes:
        model: Its name, as its provider would list it.
        dimensions: How long its vectors are.
    """

    model: str
    dimensions: int

    async def embed(self, inputs: Sequence[Input], dimensions: int) -> Embedded:
        """Compute the embeddings of `inputs` off the event loop.

        Args:
            inputs: What is embedded.
            dimensions: How long the vectors are to be, at most `self.dimensions`.

        Raises:
            InputError: One of the inputs cannot be embedded.
        """
        ...
