"""Maps that are kept for clients: any JSON, as long as it can be stored and written again."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MAXIMUM_BYTES = 64 * 1024


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        text = orjson.dumps(value)
    except TypeError as failure:
        raise PydanticCustomError("too_deep", "must not be nested that deeply") from failure
    if len(text) > MAXIMUM_BYTES:
        raise PydanticCustomError(
            "too_large", "must have at most {bytes} bytes as JSON", {"bytes": MAXIMUM_BYTES}
        )
    return value


JsonMap = Annotated[dict[str, Any], AfterValidator(_storable)]
