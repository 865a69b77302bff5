"""Durations are read and written as Go does."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.settings.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30m", timedelta(minutes=30)),
        ("2160h", timedelta(days=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("250ms", timedelta(milliseconds=250)),
        ("30m0s", timedelta(minutes=30)),
        ("0", timedelta()),
        ("-5s", timedelta(seconds=-5)),
        ("1500ns", timedelta(microseconds=1)),
        (" 15s ", timedelta(seconds=15)),
    ],
)
def test_reads_what_go_writes(text: str, value: timedelta) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "30", "abc", "5 m", "1h30", "m", "--5s", "+-5s", "5d", "1e3s"])
def test_refuses_anything_else_and_shows_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="30s"):
        parse_duration(text)


def test_refuses_a_duration_that_no_clock_can_hold() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9" * 30 + "h")


@given(st.timedeltas(min_value=timedelta(days=-36500), max_value=timedelta(days=36500)))
def test_every_duration_survives_being_written(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.text(max_size=12))
def test_no_text_does_worse_than_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_duration(text)
