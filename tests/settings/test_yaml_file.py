"""Changing YAML files keeps what people wrote into them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.settings.errors import SettingsError
from jan_server.settings.yaml_file import change_yaml, plain_value, read_yaml

FILE = """\
# Settings of this machine
server:
  public_host: "here"  # the name in the office
  # how long to wait
  drain_timeout: 5s

services:
  llm-api:
    http-port: 9000
"""


def content(text: str) -> Any:
    return plain_value(read_yaml(text, "jan.yaml"))


def test_a_change_keeps_comments_order_quotes_and_spelling() -> None:
    after = change_yaml(FILE, {"server.public_host": "there", "services.llm_api.http_port": 9001})

    assert after == FILE.replace('"here"  #', '"there" #').replace("9000", "9001")


@pytest.mark.parametrize("items", ["  - a\n  - b\n", "- a\n- b\n"])
def test_lists_keep_their_indentation(items: str) -> None:
    text = f"meta:\n  environment: test\nlist:\n{items}"

    assert change_yaml(text, {"meta.environment": "other"}) == text.replace("test", "other")


def test_a_removed_section_disappears_when_it_is_empty() -> None:
    after = change_yaml(FILE, {"services.llm_api.http_port": None})

    assert "services" not in after
    assert "# how long to wait" in after


def test_a_file_of_comments_alone_keeps_them() -> None:
    after = change_yaml("# mine\n", {"server.public_host": "a"})
    assert after == "# mine\nserver:\n  public_host: a\n"
    assert change_yaml(after, {"server.public_host": None}).startswith("# mine\n")


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert change_yaml(FILE, {"inference.provider": None}) == FILE


def test_a_section_that_is_a_value_cannot_be_written_into() -> None:
    with pytest.raises(SettingsError, match="server is no section"):
        change_yaml("server: 3\n", {"server.public_host": "a"})


@given(
    value=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
    | st.sampled_from(
        ["no", "on", "1e3", "12:30", "0x1f", "null", "~", "- a", "a: b", "#x", "2026-01-01", ""]
    )
)
def test_any_text_is_read_back_as_the_same_text(value: str) -> None:
    assert content(change_yaml(FILE, {"server.public_host": value}))["server"]["public_host"] == value


@given(value=st.booleans() | st.integers() | st.lists(st.sampled_from(["a", "no", "1", "x, y"]), max_size=3))
def test_other_values_keep_their_type(value: Any) -> None:
    assert content(change_yaml("", {"a.b": value})) == {"a": {"b": value}}


def test_every_value_knows_its_line() -> None:
    found = read_yaml(FILE, "jan.yaml")

    assert found["server"].value["drain_timeout"].line == 5
    assert found["services"].value["llm-api"].value["http-port"].line == 9
