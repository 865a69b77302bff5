"""`jan quickstart`: asks what is needed, writes jan.yaml and .env, and makes every secret."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jan_cli.configuration import unusable
from jan_cli.console import CommandError, answering, default_home, invocation, note, print_json, stderr, warn

if TYPE_CHECKING:
    from jan_server.settings.home import JanHome
    from jan_server.settings.questions import Answers, Question
    from jan_server.settings.quickstart import Plan
    from jan_server.settings.tree import Settings


BUILTIN_MODEL = "inference.llamacpp.model"
"""The setting that names the model of the built-in engine."""


class Provider(StrEnum):
    """Where answers come from."""

    BUILTIN = "builtin"
    REMOTE = "remote"
    VLLM_GPU = "vllm-gpu"
    VLLM_CPU = "vllm-cpu"


class Search(StrEnum):
    """The search engine of the tools."""

    NONE = "none"
    SERPER = "serper"
    EXA = "exa"
    TAVILY = "tavily"
    SEARXNG = "searxng"


class Media(StrEnum):
    """Where media are kept."""

    LOCAL = "local"
    S3 = "s3"
    OFF = "off"


class IdentityMode(StrEnum):
    """Who issues tokens."""

    EMBEDDED = "embedded"
    KEYCLOAK = "keycloak"


def command(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: flags, earlier answers, then defaults.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Ask a remote provider for its models first.")
    ] = True,
    provider: Annotated[Provider | None, typer.Option(help="Where answers come from.")] = None,
    model: Annotated[str | None, typer.Option(help="Model of the built-in engine or of vLLM.")] = None,
    remote_url: Annotated[str | None, typer.Option(help="Remote provider, up to and including /v1.")] = None,
    remote_api_key: Annotated[
        str | None, typer.Option(help="Key of the remote provider; safer as the variable REMOTE_API_KEY.")
    ] = None,
    hf_token: Annotated[str | None, typer.Option(help="Token of the model hub, for vLLM.")] = None,
    search: Annotated[Search | None, typer.Option(help="Search engine of the tools.")] = None,
    search_api_key: Annotated[str | None, typer.Option(help="Key of the search engine.")] = None,
    searxng_url: Annotated[str | None, typer.Option(help="Address of SearXNG.")] = None,
    memory: Annotated[
        bool | None, typer.Option("--memory/--no-memory", help="Remember facts about users.")
    ] = None,
    embedding_url: Annotated[
        str | None, typer.Option(help="Embedding service for the memory; empty: built in.")
    ] = None,
    media: Annotated[Media | None, typer.Option(help="Where images and files are kept.")] = None,
    s3_endpoint: Annotated[str | None, typer.Option(help="Address of the S3 storage.")] = None,
    s3_region: Annotated[str | None, typer.Option(help="Its region.")] = None,
    s3_bucket: Annotated[str | None, typer.Option(help="Its bucket.")] = None,
    s3_access_key: Annotated[str | None, typer.Option(help="Its access key.")] = None,
    s3_secret_key: Annotated[str | None, typer.Option(help="Its secret key.")] = None,
    s3_public_endpoint: Annotated[
        str | None, typer.Option(help="Its address for clients; empty: they never reach it.")
    ] = None,
    realtime: Annotated[
        bool | None, typer.Option("--realtime/--no-realtime", help="Offer voice sessions.")
    ] = None,
    livekit_url: Annotated[str | None, typer.Option(help="Address of LiveKit.")] = None,
    livekit_api_key: Annotated[str | None, typer.Option(help="LiveKit key; empty: made.")] = None,
    livekit_api_secret: Annotated[str | None, typer.Option(help="LiveKit secret; empty: made.")] = None,
    monitoring: Annotated[
        bool | None, typer.Option("--monitoring/--no-monitoring", help="Send traces and metrics.")
    ] = None,
    listen_address: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 opens the server to the network.")
    ] = None,
    identity: Annotated[IdentityMode | None, typer.Option(help="Who issues tokens.")] = None,
) -> None:
    """Ask what is needed, write the configuration and make every secret.

    Earlier answers are the suggestions of the next run. Nothing is written before the last answer.

    Example: jan quickstart --yes --provider remote --remote-url https://api.example.com/v1
    """
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.home import JanHome
    from jan_server.settings.loading import load_settings
    from jan_server.settings.questions import earlier_answers
    from jan_server.settings.quickstart import plan, write

    given = {
        name: value
        for name, value in {
            "provider": provider,
            "model": model,
            "remote_url": remote_url,
            "remote_api_key": remote_api_key,
            "hf_token": hf_token,
            "search": search,
            "search_api_key": search_api_key,
            "searxng_url": searxng_url,
            "memory": memory,
            "embedding_url": embedding_url,
            "media": media,
            "s3_endpoint": s3_endpoint,
            "s3_region": s3_region,
            "s3_bucket": s3_bucket,
            "s3_access_key": s3_access_key,
            "s3_secret_key": s3_secret_key,
            "s3_public_endpoint": s3_public_endpoint,
            "realtime": realtime,
            "livekit_url": livekit_url,
            "livekit_api_key": livekit_api_key,
            "livekit_api_secret": livekit_api_secret,
            "monitoring": monitoring,
            "listen_address": listen_address,
            "identity": identity,
        }.items()
        if value is not None
    }
    if not yes and not sys.stdin.isatty():
        raise CommandError(
            "The quickstart asks questions, and nobody is there to answer.",
            "Add --yes to take flags, earlier answers and defaults; jan quickstart --help lists the flags.",
        )
    home = JanHome(invocation(context).home)
    try:
        before = load_settings(home, combinations=False).settings
        with answering():
            answers = answer(earlier_answers(before), before, given, home, ask=not yes, check=check)
        prepared = plan(home, answers, os.environ)
        write(home, prepared)
    except SettingsError as error:
        raise unusable(error) from None
    except OSError as error:
        raise CommandError(f"{home.root} cannot be written: {error.strerror or error}.") from None
    tell(home, answers, prepared, as_json=json)


def answer(
    answers: Answers, settings: Settings, given: dict[str, Any], home: JanHome, *, ask: bool, check: bool
) -> Answers:
    """Goes through all questions: a flag answers one, otherwise the user does, or the suggestion holds.

    Args:
        answers: The suggestions.
        settings: The present settings, which know further suggestions.
        given: The answers that flags gave.
        home: The home folder, which knows the models of the built-in engine.
        ask: Whether there is somebody to ask.
        check: Whether a remote provider is asked for its models.

    Raises:
        CommandError: An answer is wrong or missing and nobody can be asked.
    """
    from dataclasses import replace

    from jan_server.inference.model_sources import usable_reference
    from jan_server.inference.model_store import ModelStore
    from jan_server.settings.questions import QUESTIONS, answered

    used = {"identity"}
    answers = replace(answers, identity=plain_answer(given.get("identity", answers.identity)))
    if ask:
        stderr.print(
            "[bold]Jan Server quickstart.[/bold] Enter takes what stands in brackets; Ctrl-C changes nothing."
        )
    for question in QUESTIONS:
        if not question.applies(answers):
            continue
        used.add(question.name)
        suggestion = getattr(answers, question.name)
        if question.name in given:
            value = plain_answer(given[question.name])
        elif ask:
            value = asked(question, suggestion, home)
        else:
            value = suggestion
        if wrong := objection(question, value, home):
            reason = "is needed" if value == "" else wrong
            raise CommandError(
                f"{question.flag}: {reason}.", f"{question.text}. Give it with {question.flag}."
            )
        if question.setting == BUILTIN_MODEL:
            value = usable_reference(value, ModelStore(home.models))
        answers = answered(answers, question.name, value, settings)
        if question.name == "remote_api_key" and check:
            answers = checked(answers, home, ask=ask)
    for name in given:
        if name not in used:
            warn(f"--{name.replace('_', '-')} has no effect with these answers.")
    return answers


def objection(question: Question, value: Any, home: JanHome) -> str:
    """Says what is wrong with an answer; empty if nothing is."""
    from jan_server.inference.model_sources import usable_reference
    from jan_server.inference.model_store import ModelMissingError, ModelStore
    from jan_server.settings.questions import complaint

    wrong = complaint(question, value)
    if not wrong and question.setting == BUILTIN_MODEL:
        try:
            usable_reference(value, ModelStore(home.models))
        except ModelMissingError as error:
            return f"{error.message}; {error.remedy}"
    return wrong


def asked(question: Question, suggestion: Any, home: JanHome) -> Any:
    """Asks one question until the answer is possible."""
    from getpass import getpass

    from rich.markup import escape
    from rich.prompt import Confirm, Prompt

    text = f"\n{escape(question.text)}"
    if question.kind == "switch":
        return Confirm.ask(text, console=stderr, default=bool(suggestion))
    if question.kind == "choice":
        return asked_choice(question, str(suggestion))
    while True:
        if question.kind == "secret":
            kept = " (there is one; Enter keeps it)" if suggestion else ""
            # Not Rich's prompt: that shows the question before it switches the echo off.
            value = getpass(f"\n{question.text}{kept}: ")
            value = value.strip() or suggestion
        else:
            value = Prompt.ask(
                text, console=stderr, default=suggestion or "", show_default=bool(suggestion)
            ).strip()
        wrong = objection(question, value, home)
        if not wrong:
            return value
        stderr.print(f"  [red]{escape(wrong)}[/red]")


def asked_choice(question: Question, suggestion: str) -> str:
    """Asks for one of several answers, by its number or its name."""
    from rich.markup import escape
    from rich.prompt import Prompt

    stderr.print(f"\n{escape(question.text)}")
    names = [name for name, _ in question.choices]
    for number, (name, meaning) in enumerate(question.choices, 1):
        stderr.print(f"  {number}  [bold]{name}[/bold]: {escape(meaning)}")
    default = suggestion if suggestion in names else names[0]
    while True:
        value = Prompt.ask("Number or name", console=stderr, default=default).strip()
        if value.isdigit() and 1 <= int(value) <= len(names):
            return names[int(value) - 1]
        if value in names:
            return value
        stderr.print(f"  [red]must be a number from 1 to {len(names)}, or one of the names[/red]")


def checked(answers: Answers, home: JanHome, *, ask: bool) -> Answers:
    """Asks the remote provider for its models.

    When it does not answer, the user keeps it anyway, or gives address and key again.

    Raises:
        CommandError: It cannot be used and nobody can be asked.
    """
    from dataclasses import replace

    from rich.markup import escape
    from rich.prompt import Confirm

    from jan_server.settings.provider_check import ProviderUnusable, list_models
    from jan_server.settings.questions import QUESTIONS

    questions = {question.name: question for question in QUESTIONS}
    while True:
        try:
            models = list_models(answers.remote_url, answers.remote_api_key)
        except ProviderUnusable as unusable_provider:
            reason = str(unusable_provider)
            if not ask:
                raise CommandError(
                    f"{reason}.", "--no-check accepts the provider without asking it."
                ) from None
            stderr.print(f"  [red]{escape(reason)}[/red]")
            if Confirm.ask(
                "Keep it anyway? No asks for address and key again", console=stderr, default=False
            ):
                return answers
            answers = replace(
                answers,
                remote_url=asked(questions["remote_url"], answers.remote_url, home),
                remote_api_key=asked(questions["remote_api_key"], answers.remote_api_key, home),
            )
        else:
            more = f" and {len(models) - 3} more" if len(models) > 3 else ""
            note(f"  It answers: {', '.join(models[:3])}{more}")
            return answers


def plain_answer(value: Any) -> Any:
    """The value of a flag without its type and without the spaces around it."""
    if isinstance(value, StrEnum):
        return value.value
    return value.strip() if isinstance(value, str) else value


def tell(home: JanHome, answers: Answers, prepared: Plan, *, as_json: bool) -> None:
    """Says what was written and what to do next."""
    import shlex

    from jan_server.launch.state import running_state

    option = "" if home.root == default_home() else f" --home {shlex.quote(str(home.root))}"
    running = running_state(home.root) is not None
    next_command = f"jan{option} down && jan{option} up" if running else f"jan{option} up"
    later = not_yet_there(answers)
    for variable, key in prepared.overruled:
        warn(f"The variable {variable} in the environment wins over your answer for {key}.")
    for warning in prepared.loaded.warnings:
        warn(warning)
    for name in later:
        warn(f"{name} is not part of this version yet; your answer is kept for the version that has it.")
    if as_json:
        print_json(
            {
                "home": str(home.root),
                "config_file": str(home.config_file),
                "env_file": str(home.env_file),
                "profiles": [profile.name for profile in prepared.loaded.profiles],
                "provider": answers.provider,
                "secrets_made": list(prepared.made),
                "not_yet_available": later,
                "next": next_command,
            }
        )
        return
    count = len(prepared.made)
    made = (
        f"{count} secret{' was' if count == 1 else 's were'} made"
        if count
        else "all secrets were there already"
    )
    typer.echo(f"Settings: {home.config_file}")
    typer.echo(f"Secrets:  {home.env_file} (only you can read it; {made})")
    administrator = prepared.loaded.settings.identity.application_admin_username
    typer.echo(
        f"Administrator: {administrator}; password: jan{option} config get JAN_ADMIN_PASSWORD --reveal"
    )
    typer.echo(f"\nNext: {next_command}")
    if running:
        note("The server that runs goes on with the settings it has.")


def not_yet_there(answers: Answers) -> list[str]:
    """The parts that the answers ask for and that the catalogue of this version does not have."""
    from jan_server.stack.catalogue import names

    wanted = {
        "memory-tools": answers.memory,
        "realtime-api": answers.realtime,
        "mcp-tools": answers.search != "none",
        "media-api": answers.media == "s3",
        "vllm": answers.provider.startswith("vllm"),
        "monitoring": answers.monitoring,
    }
    return [name for name, asked_for in wanted.items() if asked_for and name not in names()]
