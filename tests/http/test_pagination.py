"""Page parameters are read as the contract says, and a bad one is named."""

import pytest

from jan_server.http.errors import ApiError
from jan_server.http.ids import is_public_id, public_id
from jan_server.http.pagination import PageRequest, page_request


def test_without_parameters_the_first_twenty_newest_are_meant():
    assert page_request({}) == PageRequest(limit=20, order="desc", after=None, offset=None)


def test_cursor_is_another_name_for_after_and_a_limit_is_cut():
    assert page_request({"cursor": "msg_1", "limit": "500", "order": "asc"}, maximum=100) == PageRequest(
        limit=100, order="asc", after="msg_1"
    )


@pytest.mark.parametrize(
    ("query", "message", "param"),
    [
        ({"limit": "0"}, "invalid limit number", "limit"),
        ({"limit": "-3"}, "invalid limit number", "limit"),
        ({"limit": "many"}, "invalid limit number", "limit"),
        ({"limit": "9" * 40}, "invalid limit number", "limit"),
        ({"order": "DESC"}, "invalid order", "order"),
        ({"offset": "-1"}, "invalid offset number", "offset"),
        ({"offset": "x"}, "invalid offset number", "offset"),
    ],
)
def test_a_bad_parameter_is_named(query, message, param):
    with pytest.raises(ApiError) as refused:
        page_request(query)
    assert (refused.value.status, refused.value.message, refused.value.param) == (400, message, param)


def test_ids_have_a_prefix_and_sixteen_characters():
    made = public_id("conv")
    assert len(made) == len("conv_") + 16
    assert is_public_id("conv", made)
    assert is_public_id("conv", "conv_a")
    for wrong in ("conv_", "msg_abc", "conv_ABC", "conv_a b", "conv_abc\n"):
        assert not is_public_id("conv", wrong)
