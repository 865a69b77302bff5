"""The reference of all settings, written from the tree.

`python -m jan_server.settings.reference docs/settings.md` brings that page up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from jan_server.settings.exporters import as_text
from jan_server.settings.keys import SettingKey, all_keys, generic_variable, sections

BEGIN = "<!-- the tables below are written by `python -m jan_server.settings.reference docs/settings.md` -->"
END = "<!-- end of the tables -->"

_SIMPLE_TYPES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "secret",
    timedelta: "duration",
}


def with_tables(page: str) -> str:
    """Replace the part of a page between the two marks by the tables of all settings.

    Raises:
        ValueError: A mark is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the line {BEGIN if not begin else END!r}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Write one Markdown table for every section that holds keys."""
    by_section: dict[str, list[SettingKey]] = {name: [] for name in sections()}
    for setting in all_keys().values():
        by_section[setting.key.rpartition(".")[0]].append(setting)
    parts = []
    for name, settings in by_section.items():
        if settings:
            lead = sections()[name].splitlines()[0]
            rows = "".join(_row(setting) for setting in settings)
            parts.append(
                f"### {name}\n\n{lead}\n\n"
                f"| Key | Default | Type | Variables | Meaning |\n|---|---|---|---|---|\n{rows}"
            )
    return "\n".join(parts)


def type_name(setting: SettingKey) -> str:
    """Name the type and the limits of a setting, for people: "whole number, 1 to 65535"."""
    return ", ".join((_type(setting.field.annotation), *_limits(setting.field)))


def default_text(setting: SettingKey) -> str:
    """Write the default as a source would; for a setting that follows others, how it is made."""
    return as_text(setting.default)


def _row(setting: SettingKey) -> str:
    name = setting.key.rpartition(".")[2]
    named = [variable for variable in setting.variables if variable != generic_variable(setting.key)]
    variables = [*named, *(f"{variable} (inverse)" for variable in setting.inverse)]
    default = default_text(setting)
    meaning = setting.description
    if setting.follows:
        meaning += f" Follows `{setting.follows}`."
    cells = (
        f"`{name}`",
        f"`{default}`" if default else "–",
        type_name(setting),
        ", ".join(f"`{variable.split()[0]}`{variable[len(variable.split()[0]) :]}" for variable in variables)
        or "–",
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(annotation: Any) -> str:
    if annotation in _SIMPLE_TYPES:
        return _SIMPLE_TYPES[annotation]
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list" if get_args(annotation)[0] is str else "list of records"
    return "name=value pairs, secret"


def _limits(field: FieldInfo) -> Sequence[str]:
    bounds = {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(limit, name, None) not in (None, timedelta())
    }
    if "ge" in bounds and "le" in bounds:
        return [f"{bounds['ge']} to {bounds['le']}"]
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return [f"{words[name]} {bound}" for name, bound in bounds.items()]


def main(arguments: Sequence[str]) -> None:
    """Bring the tables of a page up to date."""
    page = Path(arguments[0])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
