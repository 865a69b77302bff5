"""JSON bodies that are read are such that can be written again."""

from __future__ import annotations

import orjson
import pytest

from jan_server.http.errors import ApiError
from jan_server.http.json_body import parse_json


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_nesting_that_could_not_be_written_again_is_refused() -> None:
    assert orjson.dumps({"around": parse_json(nested(230))})
    with pytest.raises(ApiError) as caught:
        parse_json(nested(300))
    assert (caught.value.status, caught.value.param) == (400, "a")


def test_many_values_beside_one_another_are_no_nesting() -> None:
    assert len(parse_json(b"[" + b",".join([b"{}"] * 1000) + b"]")) == 1000
