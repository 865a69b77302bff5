"""The .env file: what is written is read back, and what was there stays."""

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from jan_server.settings.env_file import change_env, read_env
from jan_server.settings.errors import SettingsError

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def values(text: str) -> dict[str, str]:
    return {line.name: line.value for line in read_env(text)}


def test_reads_quotes_comments_and_exports_with_their_lines() -> None:
    text = "# head\n\nA=1 # one\nexport B='x y'\nC=\"a\\nb\"\nD=\nE=$A\n"

    assert [(line.name, line.value, line.line) for line in read_env(text)] == [
        ("A", "1", 3),
        ("B", "x y", 4),
        ("C", "a\nb", 5),
        ("D", "", 6),
        ("E", "$A", 7),
    ]


def test_a_change_keeps_order_comments_and_spelling() -> None:
    before = "# head\nA=1 # why\n\nexport B='two'\t# note\nC=3\n# tail\n"

    after = change_env(before, {"A": "9", "B": "x y", "C": None, "NEW": "n"})

    assert after == "# head\nA=9 # why\n\nexport B='x y'\t# note\n# tail\nNEW=n\n"


def test_of_several_lines_only_the_one_that_counts_remains() -> None:
    assert change_env("A=1\nB=2\nA=3\n", {"A": "4"}) == "B=2\nA=4\n"


def test_a_file_without_a_last_newline_gets_one() -> None:
    assert change_env("A=1", {"B": "2"}) == "A=1\nB=2\n"


def test_windows_lines_stay() -> None:
    assert change_env("A=1\r\nB=2\r\n", {"A": "3"}) == "A=3\r\nB=2\r\n"


@pytest.mark.parametrize(("name", "value"), [("A B", "1"), ("1A", "1"), ("", "1"), ("A", "a\0b")])
def test_what_cannot_stand_in_the_file_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"name of a variable|NUL"):
        change_env("", {name: value})


def test_a_line_that_is_no_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"\.env line 2"):
        read_env("A=1\n=x\n")


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read_back(wanted: dict[str, str]) -> None:
    assert values(change_env("# head\n", wanted)) == wanted


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), st.data())
def test_a_change_touches_nothing_else(wanted: dict[str, str], data: st.DataObject) -> None:
    before = change_env("# head\n", wanted)
    name = data.draw(st.sampled_from(sorted(wanted)))
    value = data.draw(st.none() | VALUES)

    after = values(change_env(before, {name: value}))

    expected = (
        {**wanted, name: value} if value is not None else {n: v for n, v in wanted.items() if n != name}
    )
    assert after == expected


@given(VALUES)
def test_python_dotenv_reads_the_same(value: str) -> None:
    import io

    text = change_env("", {"A": value})
    assert dotenv_values(stream=io.StringIO(text), interpolate=False) == {"A": value}
