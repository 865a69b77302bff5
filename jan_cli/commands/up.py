"""`jan up`: start the platform, in the foreground with a live table or in the background."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jan_cli.commands.models import progress_bar, sentence
from jan_cli.configuration import existing_configuration
from jan_cli.console import CommandError, invocation, note, print_json, stdout, warn
from jan_cli.start_table import StartTable
from jan_server.launch.state import Phase, StackState, running_pid, running_state
from jan_server.settings.home import JanHome

if TYPE_CHECKING:
    from jan_server.launch.plan import Plan
    from jan_server.settings.tree import Settings


PORTS_REMEDY = "Stop what holds it, or choose another port: jan config set SETTING NUMBER"
"""What to do when a port cannot be had; the message names its setting."""


def command(
    context: typer.Context,
    services: Annotated[
        list[str] | None,
        typer.Argument(help="Start only these services and what they need.", show_default=False),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", "-p", help="A profile to use; may be repeated.", show_default=False),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    timeout: Annotated[
        float, typer.Option(help="With -d: how many seconds the start may take.", min=1)
    ] = 180.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state as JSON once ready.")] = False,
) -> None:
    """Start the platform and keep it running until Ctrl-C, or in the background with -d.

    Parts start in the order of their needs; each is asked whether it is ready. What is running
    already is left alone. A second Ctrl-C hurries the stop.

    Example: jan up -d --profile local
    """
    here = invocation(context)
    from jan_server.launch.plan import make_plan
    from jan_server.launch.state import AlreadyRunningError
    from jan_server.stack.catalogue import UnknownPartError
    from jan_server.stack.selection import select

    loaded = existing_configuration(here.home, profile or ())
    try:
        parts = select(loaded.profiles, services or ())
    except UnknownPartError as error:
        raise CommandError(str(error)) from error
    plan = make_plan(loaded.settings, parts, [chosen.name for chosen in loaded.profiles])
    if _runs_already(here.home, plan, bool(profile), timeout, as_json=as_json):
        return
    _bring_model(here.home, loaded.settings, plan)
    _bring_keycloak(here.home, loaded.settings, plan)
    try:
        if detach:
            state = _start_in_background(here.home, profile or [], services or [], timeout, quiet=as_json)
            _announce(state, loaded.settings, here.home, as_json=as_json, detached=True)
        else:
            _serve_here(here.home, plan, loaded.settings, as_json=as_json)
    except AlreadyRunningError as error:
        # Somebody else's start was a moment quicker than this one.
        if not _runs_already(here.home, plan, bool(profile), timeout, as_json=as_json, starting=True):
            raise CommandError(str(error), "It has ended meanwhile: run the command again.") from None


def _runs_already(
    home: Path, plan: Plan, profile_matters: bool, timeout: float, *, as_json: bool, starting: bool = False
) -> bool:
    """Whether a server runs that does what is wanted; one that still starts or stops is waited for.

    Raises:
        CommandError: It runs without some of what is wanted, or does not become ready.
    """
    if running_pid(home) is None:
        return False
    from jan_server.launch.detached import DetachedStartError, wait_for_running
    from jan_server.launch.state import AlreadyRunningError

    found = running_state(home)
    starting = starting or found is None or found.phase is not Phase.READY
    table = StartTable(quiet=as_json)
    try:
        with table:
            state = wait_for_running(home, seconds=timeout, watch=table.show)
    except AlreadyRunningError as error:
        raise CommandError(
            f"Another jan command (pid {error.pid}) works on {home} right now.",
            "Try again when it has ended.",
        ) from None
    except DetachedStartError as error:
        raise _start_failure(home, error.state, str(error)) from error
    if state is None:
        return False
    _same_as_wanted(state, plan, profile_matters)
    if as_json:
        print_json(asdict(state))
    elif starting:
        note(f"Jan Server was already starting (pid {state.pid}); waited until it was ready.")
    else:
        note(f"Jan Server is already running (pid {state.pid}); nothing was changed. See: jan status")
    return True


def _same_as_wanted(state: StackState, plan: Plan, profile_matters: bool) -> None:
    running = {part.name for part in state.parts}
    missing = [planned.name for planned in plan.parts if planned.name not in running]
    remedy = "To start anew with what you asked for: jan down && jan up"
    if missing:
        raise CommandError(
            f"Jan Server is already running (pid {state.pid}), without {', '.join(missing)}; "
            "nothing was changed.",
            remedy,
        )
    if profile_matters and plan.profiles != state.profiles:
        raise CommandError(
            f"Jan Server is already running (pid {state.pid}) with the profiles "
            f"{', '.join(state.profiles) or 'none'}, not {', '.join(plan.profiles)}; nothing was changed.",
            remedy,
        )


def _bring_model(home: Path, settings: Settings, plan: Plan) -> None:
    """Fetch the built-in model on first use; the platform starts without it too."""
    from jan_server.inference import builtin_model
    from jan_server.inference.model_sources import fetch_model
    from jan_server.inference.model_store import ModelFetchError, ModelStore
    from jan_server.launch.plan import Kind
    from jan_server.stack.catalogue import INFERENCE

    engine = plan.find(INFERENCE.name)
    store = ModelStore(JanHome(home).models)
    wanted = settings.inference.llamacpp.model
    if engine is None or engine.kind is not Kind.CHILD or wanted != builtin_model.NAME:
        return
    if store.find(wanted) is not None:
        return
    try:
        with progress_bar(f"Fetching {wanted}") as progress:
            fetch_model(wanted, store, progress)
    except ModelFetchError as error:
        warn(sentence(error.message), sentence(error.remedy))


def _bring_keycloak(home: Path, settings: Settings, plan: Plan) -> None:
    """Fetch and build the Keycloak that the plan runs, on first use; without it nothing starts."""
    from jan_server.launch.plan import Kind
    from jan_server.stack.catalogue import IDENTITY

    planned = plan.find(IDENTITY.name)
    if planned is None or planned.kind is not Kind.CHILD:
        return
    from jan_server.identity.keycloak import distribution as keycloak
    from jan_server.identity.keycloak.installation import install
    from jan_server.identity.keycloak.java import JavaMissingError, find_java

    wanted = settings.infrastructure.auth.keycloak
    try:
        java = find_java()
        if not wanted.home and keycloak.version_of(keycloak.folder_of(home, wanted.version)) is None:
            with progress_bar(f"Fetching Keycloak {wanted.version}") as progress:
                install(home, wanted.version, progress=progress)
        found = keycloak.find_distribution(wanted, home)
        options = keycloak.build_options(wanted)
        if not keycloak.is_built(found, options):
            note(f"Building Keycloak {found.version} once, which takes about twenty seconds …")
            keycloak.build(found, java, options, heap_mb=wanted.memory_mb)
    except (keycloak.DistributionError, JavaMissingError) as error:
        raise CommandError(sentence(error.message), sentence(error.remedy)) from error


def _start_in_background(
    home: Path, profiles: list[str], services: list[str], timeout: float, *, quiet: bool
) -> StackState:
    from jan_server.launch.detached import DetachedStartError, start_detached

    table = StartTable(quiet=quiet)
    try:
        with table:
            return start_detached(home, profiles, services, seconds=timeout, watch=table.show)
    except DetachedStartError as error:
        if error.ports_busy:
            raise CommandError(str(error), PORTS_REMEDY) from error
        raise _start_failure(home, error.state, str(error)) from error


def _serve_here(home: Path, plan: Plan, settings: Settings, *, as_json: bool) -> None:
    from jan_server.launch.ports import PortsBusyError
    from jan_server.launch.serve import serve
    from jan_server.launch.state import StateBoard

    table = StartTable(quiet=as_json)
    told: set[Phase] = set()

    def changed(state: StackState) -> None:
        table.show(state)
        if state.phase in told:
            return
        told.add(state.phase)
        if state.phase is Phase.READY:
            table.stop()
            _announce(state, settings, home, as_json=as_json, detached=False)
        elif state.phase is Phase.STOPPING:
            table.stop()
            note("Stopping … (Ctrl-C again hurries)")

    def attach(board: StateBoard) -> None:
        board.watch = changed
        changed(board.state)

    try:
        with table:
            last = serve(plan, settings, home, watch=attach)
    except PortsBusyError as error:
        raise CommandError(str(error), PORTS_REMEDY) from error
    if last.phase is Phase.FAILED:
        raise _start_failure(home, last, last.detail)
    note("Stopped.")


def _announce(state: StackState, settings: Settings, home: Path, *, as_json: bool, detached: bool) -> None:
    if as_json:
        print_json(asdict(state))
        return
    from jan_server.stack.catalogue import GATEWAY

    gateway = state.part(GATEWAY.name)
    stdout.print()
    for part in state.parts:
        if part.phase is Phase.STOPPED and part.detail:
            warn(f"{part.name}: {part.detail}")
        elif part.phase is Phase.FAILED:
            warn(f"{part.name}: {part.detail}", f"jan logs {part.name}")
    if gateway is not None:
        base = settings.infrastructure.gateway.public_url.rstrip("/")
        stdout.print(f"Jan Server is ready at [bold]{base}[/bold]  (API documentation: {base}/api/swagger)")
        _suggest_request(state, settings, home, base)
    else:
        stdout.print("Ready.")
    how = "jan status · jan logs -f · jan down" if detached else "Ctrl-C stops it · jan status · jan logs -f"
    stdout.print(how, style="dim")


def _suggest_request(state: StackState, settings: Settings, home: Path, base: str) -> None:
    """Print a request that works, or what is missing before one can."""
    from jan_server.stack.catalogue import INFERENCE

    inference = state.part(INFERENCE.name)
    model = _built_in_model(settings, home)
    if inference is None:
        stdout.print(
            "\nNothing answers chats yet: the engine was not asked for. All of it: jan down && jan up\n"
        )
    elif inference.phase is not Phase.READY or (settings.inference.provider == "builtin" and not model):
        stdout.print(
            "\nNothing answers chats yet; the warning above says what is missing. The engine starts as\n"
            "soon as its model is there (jan status); after another setting: jan down && jan up\n"
        )
    else:
        stdout.print("\nTry it:\n")
        stdout.print(sample_request(base, model), markup=False)
        stdout.print()


def sample_request(base: str, model: str = "") -> str:
    """Lines that work when they are pasted into a shell: a guest's token, then a chat.

    Args:
        base: The address of the gateway.
        model: The model to ask; without one, the first that the platform lists.
    """
    body = '{"model": "MODEL", "messages": [{"role": "user", "content": "Say hello in one short sentence."}]}'
    lines = [f"TOKEN=$(curl -s -X POST {base}/llm/auth/guest-login | {_extracted('access_token')})"]
    if model:
        data = "'" + body.replace("MODEL", model) + "'"
    else:
        listed = f'curl -s {base}/v1/models -H "Authorization: Bearer $TOKEN"'
        lines.append(f"MODEL=$({listed} | {_extracted('id')})")
        data = '"' + body.replace("MODEL", "$MODEL").replace('"', '\\"') + '"'
    lines.append(
        f'curl -s {base}/v1/chat/completions -H "Authorization: Bearer $TOKEN"'
        f" -H 'Content-Type: application/json' \\\n  -d {data}"
    )
    return "\n".join(lines)


def _extracted(name: str) -> str:
    """A filter that prints the first value of that name in a line of JSON."""
    return f"""grep -o '"{name}": *"[^"]*"' | head -n 1 | cut -d '"' -f 4"""


def _built_in_model(settings: Settings, home: Path) -> str:
    """The id under which the platform lists the engine's model; nothing when answers come from elsewhere."""
    from jan_server.inference.model_sources import find_model
    from jan_server.inference.model_store import ModelMissingError, ModelStore
    from jan_server.services.llm_api.model_ids import public_model_id

    if settings.inference.provider != "builtin":
        return ""
    try:
        name, _ = find_model(settings.inference.llamacpp.model, ModelStore(JanHome(home).models))
        return public_model_id(name, "jan")
    except ModelMissingError:
        return ""


def _start_failure(home: Path, state: StackState | None, reason: str) -> CommandError:
    """The error that shows which part failed and what it said last."""
    from jan_server.telemetry.log_files import tail, utc_now

    failed = [part for part in (state.parts if state else ()) if part.phase is Phase.FAILED]
    for part in failed[:1]:
        begun = utc_now(state.started_at) if state else ""
        entries = [entry for entry in tail(JanHome(home).logs, part.name, 10) if entry.time >= begun]
        if entries:
            note(f"\nThe last log lines of {part.name}:")
            for entry in entries:
                note(f"  {entry.level:8} {entry.message}")
            note("")
    remedy = f"More: jan logs {failed[0].name}" if failed else "More: jan logs server"
    return CommandError(reason or "The platform did not start.", remedy)
