"""What a request body is that comes in while it is sent on, instead of lying here as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class StreamedBody(Protocol):
    """A body that whoever sends it reads piece by piece."""

    @property
    def failure(self) -> Exception | None:
        """Why it could not be read to its end, which is not the fault of whom it was sent to."""
        ...

    @property
    def can_be_sent_again(self) -> bool:
        """Whether `chunks` still gives the whole body."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body from its beginning."""
        ...
