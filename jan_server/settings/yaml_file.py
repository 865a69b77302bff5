"""YAML files with settings: read with the line of every value, changed with their comments kept."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jan_server.settings.errors import Problem, SettingsError

# A list whose items stand further right than the name above them; ruamel must be told to keep that.
_INDENTED_LIST = re.compile(r"^( *)[^\s#-][^\n]*:[^\S\n]*(?:#[^\n]*)?\n\1 +- ", re.MULTILINE)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class YamlValue:
    """A value together with where it stood; a mapping's value holds further ones.

    Attributes:
        value: The plain value, or a dict of name to YamlValue.
        line: The number of the line of its name, from 1.
    """

    value: Any
    line: int


def read_yaml(text: str, label: str) -> dict[str, YamlValue]:
    """Read a YAML mapping, each value with its line.

    Args:
        text: The file's content; an empty one is an empty mapping.
        label: What the file is called in messages.

    Raises:
        SettingsError: The text is no YAML mapping, or a name stands in it twice.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise SettingsError([Problem(label, "must hold names and values, as in `server: {…}`")])
        found: dict[str, YamlValue] = _mapping(loader, node, label)
        return found
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = f"{label} line {mark.line + 1}" if mark else label
        reason = getattr(error, "problem", None) or "cannot be read"
        raise SettingsError([Problem(label, f"is not valid YAML: {reason}", place)]) from None
    finally:
        loader.dispose()


def _mapping(loader: Any, node: yaml.MappingNode, label: str) -> dict[str, YamlValue]:
    found: dict[str, YamlValue] = {}
    for name_node, value_node in node.value:
        line = name_node.start_mark.line + 1
        name = str(loader.construct_object(name_node, deep=True))
        if name in found:
            raise SettingsError([Problem(name, "stands there twice", f"{label} line {line}")])
        if isinstance(value_node, yaml.MappingNode):
            value: Any = _mapping(loader, value_node, label)
        else:
            value = loader.construct_object(value_node, deep=True)
        found[name] = YamlValue(value, line)
    return found


def plain_value(value: Any) -> Any:
    """Give a YamlValue's content without the lines."""
    if isinstance(value, YamlValue):
        return plain_value(value.value)
    if isinstance(value, dict):
        return {name: plain_value(inner) for name, inner in value.items()}
    return value


def change_yaml(text: str, changes: Mapping[str, Any]) -> str:
    """Set and remove keys in the content of a YAML file; comments, order and quotes stay.

    Args:
        text: The file's content.
        changes: New values by dotted key; None removes the key, and its section once that is empty.

    Raises:
        SettingsError: A section of a key is no mapping in this file.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 110
    if _INDENTED_LIST.search(text):
        editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(text)
    if document is None:
        document = CommentedMap()
    for key, value in changes.items():
        if value is None:
            _remove(document, key.split("."))
        else:
            _set(document, key, value)
    stream = io.StringIO()
    if not document:
        # What is left of an emptied file are its comments, which ruamel would hang an "{}" under.
        comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
        return "\n".join(comments) + ("\n" if comments else "")
    editor.dump(document, stream)
    written = stream.getvalue()
    lead = _comment_block(text)
    return written if not lead or written.startswith(lead) else lead + written


def _comment_block(text: str) -> str:
    """Give the content of a file that holds nothing but comments; ruamel would lose them."""
    lines = text.splitlines(keepends=True)
    if all(not line.strip() or line.lstrip().startswith("#") for line in lines):
        return text if text.endswith("\n") or not text else text + "\n"
    return ""


def _spelling(mapping: Any, name: str) -> str:
    """Find how a file spells a name: with hyphens or with underscores."""
    for written in mapping:
        if str(written).replace("-", "_") == name:
            return str(written)
    return name


def _set(document: Any, key: str, value: Any) -> None:
    *parents, name = key.split(".")
    place = document
    for parent in parents:
        spelling = _spelling(place, parent)
        if place.get(spelling) is None:
            place[spelling] = type(document)()
        place = place[spelling]
        if not isinstance(place, dict):
            raise SettingsError([Problem(key, f"cannot be set, because {parent} is no section in this file")])
    place[_spelling(place, name)] = _written(value)


def _remove(place: Any, path: Sequence[str]) -> None:
    name = _spelling(place, path[0])
    if name not in place:
        return
    if len(path) == 1:
        del place[name]
    elif isinstance(place[name], dict):
        _remove(place[name], path[1:])
        if not place[name]:
            del place[name]


def _written(value: Any) -> Any:
    """Prepare a value for ruamel: text that YAML 1.1 would read as another type gets quotes."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        try:
            same = yaml.load(value, _Loader) == value  # noqa: S506 - one of the two safe loaders
        except yaml.YAMLError:
            same = False
        return value if same else DoubleQuotedScalarString(value)
    if isinstance(value, tuple | list):
        return [_written(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _written(item) for name, item in value.items()}
    return value


def read_text(path: Path) -> str:
    """Read a configuration file; one that does not exist is empty.

    Raises:
        SettingsError: It exists and cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise SettingsError([Problem(str(path), "is not UTF-8 text")]) from None
    except OSError as error:
        raise SettingsError([Problem(str(path), f"cannot be read: {error.strerror or error}")]) from None
