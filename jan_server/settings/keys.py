"""The keys of the settings tree as a list: name, type, default, limits, variables, meaning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from jan_server.settings.errors import Problem, SettingsError, nearest
from jan_server.settings.tree import Settings
from jan_server.settings.tree.fields import Section
from jan_server.settings.tree.follow import leaves

GENERIC_PREFIX = "JAN__"
"""Every key also has this form of name: JAN__SERVICES__LLM_API__HTTP_PORT."""

WITHOUT_EFFECT = {
    "COMPOSE_PROFILES": "profiles are chosen with JAN_PROFILES or `jan up --profile`",
    "ENV_FILE": "variables are read from the .env of the home folder",
    "MEDIA_API_KEY": "media-api takes tokens and API keys of the platform",
    "MEDIA_SERVICE_KEY": "media-api takes tokens and API keys of the platform",
    "MEDIA_GCS_BUCKET": "media are stored locally or in an S3-compatible storage",
    "MIGRATIONS_DIR": "migrations are part of the program",
    "SWAGGER_ASSETS_DIR": "the pages of /api/swagger are part of the program",
}
"""Variables of the original that have nothing left to set, with the reason."""

FOREIGN_PREFIXES = ("JAN_HOME", "JAN_TEST_")
"""Variables beginning with JAN_ that belong to the command and to tests, not to the tree."""


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One key of the tree.

    Attributes:
        key: Dotted name, as in "services.llm_api.http_port".
        field: The pydantic field, with default, limits and description.
        variables: Environment names, the strongest first; the generic one is last.
        inverse: Environment names that switch the setting off.
        follows: The template that makes the value when only the keys in it are given.
        secret: Whether the value must be hidden.
    """

    key: str
    field: FieldInfo
    variables: tuple[str, ...]
    inverse: tuple[str, ...]
    follows: str
    secret: bool

    @property
    def description(self) -> str:
        """What the setting does."""
        return self.field.description or ""

    @property
    def default(self) -> Any:
        """The value when no source gives one."""
        return self.field.get_default(call_default_factory=True)

    @property
    def variable(self) -> str:
        """The one variable that sets this key and no other."""
        return self.variables[0]


def generic_variable(key: str) -> str:
    """Give the environment name that every key has besides its own: JAN__SECTION__KEY."""
    return GENERIC_PREFIX + key.upper().replace(".", "__")


@cache
def all_keys() -> dict[str, SettingKey]:
    """List every key of the tree by its dotted name, in the tree's order."""
    found = {}
    for key, field in leaves(Settings):
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        names: Any = extra.get("env") or []
        inverse: Any = extra.get("inverse") or []
        found[key] = SettingKey(
            key=key,
            field=field,
            variables=(*names, generic_variable(key)),
            inverse=tuple(inverse),
            follows=str(extra.get("follows") or ""),
            secret=_holds_secret(field.annotation),
        )
    return found


@cache
def sections() -> dict[str, str]:
    """List every section by its dotted name, with what it is."""
    found: dict[str, str] = {}

    def walk(section: type[Section], prefix: str) -> None:
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                found[f"{prefix}{name}"] = (field.annotation.__doc__ or "").strip()
                walk(field.annotation, f"{prefix}{name}.")

    walk(Settings, "")
    return found


@cache
def all_variables() -> dict[str, tuple[str, ...]]:
    """List every environment name with the keys that it sets."""
    found: dict[str, list[str]] = {}
    for setting in all_keys().values():
        for name in (*setting.inverse, *setting.variables):
            found.setdefault(name, []).append(setting.key)
    return {name: tuple(keys) for name, keys in found.items()}


def spelled(key: str) -> str:
    """Bring a key as people write it to the tree's spelling: hyphens are underscores, spaces go."""
    return key.strip().replace("-", "_").lower()


def find_key(written: str) -> SettingKey:
    """Find a key by its dotted name (hyphens and underscores are the same) or by an environment name.

    Raises:
        SettingsError: There is no such key; the nearest one is named.
    """
    known = all_keys().get(spelled(written))
    if known:
        return known
    named = all_variables().get(written.strip(), ())
    if named:
        own = [key for key in named if all_keys()[key].variable == written.strip()]
        return all_keys()[(own or list(named))[0]]
    if spelled(written) in sections():
        raise SettingsError([Problem(written, "is a section; name one key in it")])
    raise SettingsError([unknown_key(written)])


def unknown_key(written: str, source: str = "") -> Problem:
    """Describe a key that the tree does not have."""
    return Problem(written, "unknown key", source, _nearest_key(spelled(written)))


def _nearest_key(key: str) -> str:
    """Find what a key was meant to be: first among its neighbours, then by its last name, then anywhere."""
    parent, _, name = key.rpartition(".")
    known = [*all_keys(), *sections()]
    neighbours = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == parent}
    if close := nearest(name, neighbours):
        return neighbours[close]
    for other in neighbours:
        if name in other.split("_"):
            return neighbours[other]
    by_name = {other.rpartition(".")[2]: other for other in reversed(known)}
    if close := nearest(name, by_name, closeness=0.8):
        return by_name[close]
    return nearest(key, known)


def _holds_secret(annotation: Any) -> bool:
    if annotation is SecretStr:
        return True
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return any(_holds_secret(field.annotation) for field in annotation.model_fields.values())
    if isinstance(annotation, UnionType) or get_args(annotation):
        return any(_holds_secret(part) for part in get_args(annotation))
    return False
