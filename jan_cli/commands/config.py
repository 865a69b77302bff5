"""`jan config`: show, explain, check, change and export the settings."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jan_cli.commands.models import sentence
from jan_cli.configuration import configuration, unusable
from jan_cli.console import (
    CommandError,
    Declined,
    answering,
    confirm,
    invocation,
    note,
    print_json,
    print_table,
    warn,
)

if TYPE_CHECKING:
    from jan_server.settings.home import JanHome
    from jan_server.settings.keys import SettingKey
    from jan_server.settings.loading import LoadedSettings, Provenance

app = typer.Typer(
    no_args_is_help=True,
    help="Show, explain, check, change and export the settings.",
    epilog="Example: jan config explain infrastructure.gateway.kong.http_port",
)

Key = Annotated[
    str, typer.Argument(help="A key, as in services.llm-api.http-port, or a variable, as in HTTP_PORT.")
]
Profiles = Annotated[
    list[str] | None, typer.Option("--profile", help="Profile to use; repeatable. Default: those configured.")
]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show secrets instead of a mask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class TreeFormat(StrEnum):
    """How settings are shown."""

    YAML = "yaml"
    JSON = "json"
    VALUE = "value"


class ExportFormat(StrEnum):
    """How settings are exported."""

    ENV = "env"
    DOCKER_ENV = "docker-env"
    JSON = "json"
    YAML = "yaml"


@app.command(epilog="Example: jan config show services.llm-api --format json")
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A section, a service or a key. Default: everything.")] = "",
    form: Annotated[TreeFormat, typer.Option("--format", help="How to print it.")] = TreeFormat.YAML,
    json: AsJson = False,
    reveal: Reveal = False,
    profile: Profiles = None,
) -> None:
    """Show the settings that hold: everything, one section or one key. Secrets are masked."""
    from jan_server.settings.exporters import as_json, as_text, as_yaml, plain
    from jan_server.settings.loading import value_of

    loaded = configuration(invocation(context).home, profile or ())
    path = section_or_key(key)
    value = value_of(loaded.settings, path) if path else loaded.settings
    if json or form is TreeFormat.JSON:
        typer.echo(as_json(plain(value, reveal=reveal)), nl=False)
    elif form is TreeFormat.VALUE:
        if path == "" or path not in known_keys():
            raise CommandError(
                f"{key or 'everything'} is not one value.", "Name one key, or use --format yaml."
            )
        typer.echo(as_text(value, reveal=reveal))
    else:
        typer.echo(as_yaml(plain(value, reveal=reveal)), nl=False)


@app.command(epilog="Example: jan config get HTTP_PORT")
def get(
    context: typer.Context, key: Key, json: AsJson = False, reveal: Reveal = False, profile: Profiles = None
) -> None:
    """Print the value of one key and nothing else, for scripts. A secret is masked without --reveal."""
    from jan_server.settings.exporters import as_text, plain

    setting = known_key(key)
    value = configuration(invocation(context).home, profile or ()).provenance[setting.key].value
    if json:
        print_json({"key": setting.key, "value": plain(value, reveal=reveal)})
    else:
        typer.echo(as_text(value, reveal=reveal))


@app.command(epilog="Example: jan config validate --file ./jan.yaml")
def validate(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Check this file in the place of jan.yaml.")
    ] = None,
    json: AsJson = False,
    profile: Profiles = None,
) -> None:
    """Check the configuration; every problem is named with its place. The exit code is 1 if there is one."""
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.home import JanHome
    from jan_server.settings.loading import load_settings
    from jan_server.settings.yaml_file import read_text

    home = JanHome(invocation(context).home)
    if file is not None and not file.is_file():
        raise CommandError(f"There is no file {file}.")
    try:
        loaded = load_settings(
            home,
            profile or (),
            config_text=read_text(file) if file is not None else None,
            config_label=str(file) if file is not None else "jan.yaml",
        )
        if file is None and home.config_file.exists():
            refuse_lacking_secrets(loaded)
    except SettingsError as error:
        if not json:
            raise unusable(error) from None
        problems = [
            {
                "key": problem.key,
                "source": problem.source,
                "message": problem.message,
                "suggestion": problem.suggestion,
            }
            for problem in error.problems
        ]
        print_json({"valid": False, "problems": problems, "warnings": []})
        raise typer.Exit(1) from None
    names = [profile.name for profile in loaded.profiles]
    if json:
        print_json({"valid": True, "problems": [], "warnings": loaded.warnings, "profiles": names})
        return
    for warning in loaded.warnings:
        warn(warning)
    typer.echo(f"The configuration is valid (profiles: {', '.join(names)}).")


@app.command(epilog="Example: jan config explain services.llm-api.http-port")
def explain(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="A key, a variable, a section or a service.")],
    json: AsJson = False,
    reveal: Reveal = False,
    profile: Profiles = None,
) -> None:
    """Say what a key means, what its value is, which source gave it and what that source overrode."""
    path = section_or_key(key)
    loaded = configuration(invocation(context).home, profile or ())
    if path not in known_keys():
        explain_section(path, loaded, json=json, reveal=reveal)
        return
    setting, origin = known_keys()[path], loaded.provenance[path]
    told = explanation(setting, origin, reveal=reveal)
    if json:
        print_json(told)
        return
    typer.echo(f"{path} = {shown(setting, origin.value, reveal=reveal)}")
    typer.echo(f"  {setting.description}")
    rows = [
        ("source", told["source"]),
        *(("overrode", f"{earlier['value']} ({earlier['source']})") for earlier in told["overrode"]),
        ("default", told["default"]),
        ("type", told["type"]),
        ("variables", ", ".join(told["variables"])),
        *([("inverse", ", ".join(told["inverse"]))] if told["inverse"] else []),
        *([("follows", told["follows"])] if told["follows"] else []),
    ]
    for name, text in rows:
        typer.echo(f"  {name + ':':<11}{text}")


@app.command(epilog="Example: jan config export --format docker-env --reveal -o jan.env")
def export(
    context: typer.Context,
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.ENV,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write (mode 0600). Default: standard output."),
    ] = None,
    prefix: Annotated[str, typer.Option(help="What stands before every variable's name.")] = "",
    reveal: Reveal = False,
    profile: Profiles = None,
) -> None:
    """Write all settings, in a fixed order: as variables (env, docker-env) or as a tree (json, yaml)."""
    from jan_server.settings import exporters
    from jan_server.settings.private_file import write_private

    loaded = configuration(invocation(context).home, profile or ())
    try:
        text = exporters.export(loaded.settings, form.value, reveal=reveal, prefix=prefix)
    except ValueError as error:
        raise CommandError(str(error)) from None
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        write_private(output, text)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror or error}.") from None
    note(f"Wrote {output}.")


@app.command("set", epilog="Example: jan config set infrastructure.gateway.kong.http-port 9000")
def set_(
    context: typer.Context,
    key: Key,
    value: Annotated[
        str | None, typer.Argument(help="The value. Without it a secret is asked for, or read from a pipe.")
    ] = None,
) -> None:
    """Set a key: a secret in .env, anything else in jan.yaml; comments stay, and nonsense is refused."""
    from jan_server.settings.changes import from_environment, set_value
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.home import JanHome

    setting = known_key(key)
    text = value if value is not None else asked_value(setting)
    if setting.secret and value is not None:
        warn(
            "A secret on the command line stays in the shell's history.",
            f"Better: jan config set {setting.key}",
        )
    home = JanHome(invocation(context).home)
    if setting.key == "inference.llamacpp.model":
        text = usable_model(text, home)
    try:
        changed = set_value(home, setting.key, text)
    except SettingsError as error:
        raise unusable(error) from None
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None
    if from_environment(changed.origin):
        written, holds = (
            shown(setting, value, reveal=False) for value in (changed.written, changed.origin.value)
        )
        typer.echo(
            f"written to {changed.file}: {setting.key} = {written}; "
            f"but {changed.origin.source} = {holds} wins"
        )
        return
    typer.echo(f"{setting.key} = {shown(setting, changed.origin.value, reveal=False)} ({changed.file})")
    tell_next_start(home.root)


@app.command(epilog="Example: jan config unset infrastructure.gateway.kong.http-port")
def unset(
    context: typer.Context,
    key: Key,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before a secret that was made is removed.")
    ] = False,
) -> None:
    """Remove a key from jan.yaml and from .env, so that a weaker source or the default holds again.

    A secret that the platform made for itself is asked about first, because another one cannot replace it.
    """
    from jan_server.settings.changes import is_written, unset_value
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.home import JanHome

    setting = known_key(key)
    home = JanHome(invocation(context).home)
    try:
        loss = loss_of(setting.key) if is_written(home, setting.key) else ""
        if loss and not confirm(f"Remove {setting.key}? {loss}", yes=yes):
            raise Declined("Nothing was changed.")
        changed = unset_value(home, setting.key)
    except SettingsError as error:
        raise unusable(error) from None
    except OSError as error:
        raise CommandError(str(error)) from None
    if changed is None:
        raise CommandError(f"{setting.key} is set neither in jan.yaml nor in .env.")
    value = shown(setting, changed.origin.value, reveal=False)
    typer.echo(f"{setting.key}: removed from {changed.file}; now {value} ({changed.origin.source})")
    tell_next_start(home.root)


def refuse_lacking_secrets(loaded: LoadedSettings) -> None:
    """Refuse settings without a secret that the platform needs.

    Raises:
        SettingsError: One is missing.
    """
    from jan_server.settings.errors import Problem, SettingsError
    from jan_server.settings.generated_secrets import lacking

    if names := lacking(loaded.settings):
        raise SettingsError(
            Problem(name, "is missing and needed; jan quickstart --yes makes it and changes nothing else")
            for name in names
        )


def known_keys() -> dict[str, SettingKey]:
    """Every key by its dotted name."""
    from jan_server.settings.keys import all_keys

    return all_keys()


def known_key(written: str) -> SettingKey:
    """The key that was meant.

    Raises:
        CommandError: There is none of that name; the nearest is named.
    """
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.keys import find_key

    try:
        return find_key(written)
    except SettingsError as error:
        raise CommandError(str(error), "jan config show lists every key.") from None


def section_or_key(written: str) -> str:
    """The dotted name of a section, of a key or of a service; empty for everything.

    Raises:
        CommandError: There is none of that name; the nearest is named.
    """
    from jan_server.settings.keys import sections, spelled

    name = spelled(written)
    for candidate in (name, f"services.{name}"):
        if candidate == "" or candidate in sections():
            return candidate
    return known_key(written).key


def shown(setting: SettingKey, value: Any, *, reveal: bool) -> str:
    """A value as text; a secret as a mask, whatever form its source gave it."""
    from jan_server.settings.exporters import as_text
    from jan_server.settings.generated_secrets import MASK

    if setting.secret and not reveal:
        return MASK if as_text(value, reveal=True) else "(empty)"
    return as_text(value, reveal=True) or "(empty)"


def explanation(setting: SettingKey, origin: Provenance, *, reveal: bool) -> dict[str, Any]:
    """All there is to know about a key."""
    from jan_server.settings.reference import default_text, type_name

    return {
        "key": setting.key,
        "description": setting.description,
        "value": shown(setting, origin.value, reveal=reveal),
        "source": origin.source,
        "overrode": [
            {"source": earlier.source, "value": shown(setting, earlier.value, reveal=reveal)}
            for earlier in origin.overrode
        ],
        "default": default_text(setting) or "(empty)",
        "type": type_name(setting).replace("`", ""),
        "secret": setting.secret,
        "variables": list(setting.variables),
        "inverse": list(setting.inverse),
        "follows": setting.follows,
    }


def explain_section(path: str, loaded: LoadedSettings, *, json: bool, reveal: bool) -> None:
    """Tells the keys of a section, each with its value and where that came from."""
    from jan_server.settings.keys import sections

    inside = [setting for setting in known_keys().values() if setting.key.startswith(f"{path}.") or not path]
    if json:
        print_json(
            [explanation(setting, loaded.provenance[setting.key], reveal=reveal) for setting in inside]
        )
        return
    rows = [
        (
            setting.key.removeprefix(f"{path}."),
            shown(setting, loaded.provenance[setting.key].value, reveal=reveal),
            loaded.provenance[setting.key].source,
        )
        for setting in inside
    ]
    title = f"{path}: {sections()[path]}" if path else "Everything"
    print_table(("Key", "Value", "Source"), rows, title=title)


def asked_value(setting: SettingKey) -> str:
    """The value of a key that stands neither on the command line: asked for hidden, or read from a pipe.

    Raises:
        CommandError: It is no secret, or nothing came.
    """
    if not setting.secret:
        raise CommandError(f"The value of {setting.key} is missing.", f"jan config set {setting.key} VALUE")
    if sys.stdin.isatty():
        with answering():
            answer: str = typer.prompt(setting.key, hide_input=True, err=True)
    else:
        answer = sys.stdin.readline().rstrip("\r\n")
    if not answer:
        raise CommandError(f"{setting.key} got no value.")
    return answer


def usable_model(text: str, home: JanHome) -> str:
    """The model as the settings keep it: a name that is known here, or the whole path of a file.

    Raises:
        CommandError: There is no such model here.
    """
    from jan_server.inference.model_sources import usable_reference
    from jan_server.inference.model_store import ModelMissingError, ModelStore

    try:
        return usable_reference(text, ModelStore(home.models))
    except ModelMissingError as error:
        raise CommandError(f"inference.llamacpp.model: {error.message}.", sentence(error.remedy)) from None


def loss_of(key: str) -> str:
    """What is lost with a secret that the platform made for itself; empty for every other key."""
    from jan_server.settings.generated_secrets import GENERATED

    return next((secret.loss for secret in GENERATED if secret.key == key), "")


def tell_next_start(home: Path) -> None:
    """Says when a running server takes a change up; nothing when none runs."""
    from jan_server.launch.state import running_state

    if running_state(home) is not None:
        note("The running server takes it up at its next start: jan down && jan up")
