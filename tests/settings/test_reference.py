"""The page of all settings says what the tree says."""

from pathlib import Path

import pytest

from jan_server.settings.generated_secrets import GENERATED
from jan_server.settings.keys import WITHOUT_EFFECT, all_keys
from jan_server.settings.profiles import profile_names
from jan_server.settings.reference import tables, with_tables

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()

    assert with_tables(page) == page, "run: python -m jan_server.settings.reference docs/settings.md"


def test_the_page_names_every_key_and_variable() -> None:
    page = PAGE.read_text()

    for setting in all_keys().values():
        assert f"| `{setting.key.rpartition('.')[2]}` |" in page
        assert all(f"`{name}`" in page for name in setting.variables[:-1])


def test_the_prose_names_what_the_program_has() -> None:
    prose = PAGE.read_text().replace(tables(), "")

    assert all(f"`{name}`" in prose for name in WITHOUT_EFFECT)
    assert all(f"`{secret.variable}`" in prose for secret in GENERATED)
    assert all(f"`{name}`" in prose for name in profile_names())


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        with_tables("# Settings\n")
