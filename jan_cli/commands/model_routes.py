"""`jan models routes` and `jan models alias`: names that stand for one or more models."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from jan_cli.admin_api import AdminApi, admin_api, only, report
from jan_cli.commands.providers import find_provider
from jan_cli.console import CommandError, confirm_or_decline, note, print_json, print_table
from jan_cli.options import AsJson, Yes, some_change

app = typer.Typer(
    name="routes",
    help="Names that stand for models: aliases, weighted groups and fallbacks.",
    no_args_is_help=True,
)

REASONS = ("error", "timeout", "rate_limit", "context_overflow")

_WEIGHT = re.compile(r"(?P<model>.+):(?P<weight>\d+)")

Route = Annotated[str, typer.Argument(metavar="ROUTE", help="A name or an id.")]
To = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        metavar="MODEL[@PROVIDER][:WEIGHT]",
        help="A model that answers; several share the requests by weight. Repeatable.",
    ),
]
Fallback = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL[@PROVIDER]", help="A model that is asked when those before failed, in this order."
    ),
]
FallbackOn = Annotated[
    str | None,
    typer.Option(metavar="LIST", help=f"What leads to a fallback: {', '.join(REASONS)}, or none."),
]
Description = Annotated[str | None, typer.Option(help="What it is for.")]


@app.command("list")
def list_routes(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="Part of a name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the routes, the newest first.

    Example: jan models routes list
    """
    api = admin_api(context)
    found = api.all_rows("models", "routes", query={"search": search})
    if as_json:
        print_json(found)
        return
    names = provider_names(api)
    print_table(
        ("NAME", "TO", "FALLBACK ON", "STATE", "SOURCE", "ID"),
        [
            (
                route["name"],
                targets_of(route, names),
                ", ".join(route["fallback_on"]) or "nothing",
                "active" if route["active"] else "off",
                route["source"],
                route["id"],
            )
            for route in found
        ],
    )


@app.command("show")
def show(context: typer.Context, route: Route, as_json: AsJson = False) -> None:
    """Show one route with its models in the order in which they are asked.

    Example: jan models routes show fast
    """
    api = admin_api(context)
    found = find_route(api, route)
    if as_json:
        print_json(found)
        return
    names = provider_names(api)
    print_table(
        ("PRIORITY", "WEIGHT", "MODEL", "PROVIDER"),
        [
            (
                target["priority"],
                target["weight"],
                target["model"],
                names.get(target.get("provider_id") or "", target.get("provider_id") or "any"),
            )
            for target in sorted(found["targets"], key=lambda target: target["priority"])
        ],
        title=f"{found['name']} ({found['id']}), {'active' if found['active'] else 'off'}",
        right=("PRIORITY", "WEIGHT"),
    )
    note(f"Goes on to the next at: {', '.join(found['fallback_on']) or 'nothing'}.")
    if found["description"]:
        note(found["description"])


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What requests call it.")],
    to: To = None,
    fallback: Fallback = None,
    fallback_on: FallbackOn = None,
    description: Description = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Do not offer it yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a route.

    Example: jan models routes add fast --to jan/smollm2 --to openai/gpt-4o-mini:2 --fallback openai/gpt-4o
    """
    if not to:
        raise CommandError(
            "--to is missing.", "Say which model answers: --to openai/gpt-4o-mini", exit_code=2
        )
    reasons = given_reasons(fallback_on)
    api = admin_api(context)
    body: dict[str, Any] = {"name": name, "targets": targets(api, to, fallback), "active": not inactive}
    body |= {} if description is None else {"description": description}
    body |= {} if reasons is None else {"fallback_on": reasons}
    made = api.call("POST", "models", "routes", body=body)
    report(made, f"{made['name']} is {targets_of(made, provider_names(api))}.", as_json=as_json)


def alias(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What requests may call the model.")],
    model: Annotated[str, typer.Argument(metavar="MODEL[@PROVIDER]", help="The model that answers.")],
    as_json: AsJson = False,
) -> None:
    """Give a model another name; a name that is there already stands for this model from now on.

    Example: jan models alias gpt-4 openai/gpt-4o
    """
    api = admin_api(context)
    wanted = targets(api, [model], None)
    there = [
        route for route in api.all_rows("models", "routes", query={"search": name}) if route["name"] == name
    ]
    if there:
        made = api.call("PATCH", "models", "routes", there[0]["id"], body={"targets": wanted, "active": True})
    else:
        made = api.call("POST", "models", "routes", body={"name": name, "targets": wanted})
    report(made, f"{name} is {targets_of(made, provider_names(api))}.", as_json=as_json)


@app.command("edit")
def edit(
    context: typer.Context,
    route: Route,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    to: To = None,
    fallback: Fallback = None,
    fallback_on: FallbackOn = None,
    description: Description = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it is offered.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a route; what is not given stays. --to replaces the first models, --fallback the others.

    Example: jan models routes edit fast --fallback openai/gpt-4o --fallback anthropic/claude-sonnet-4
    """
    reasons = given_reasons(fallback_on)
    given = {"name": name, "description": description, "active": active, "fallback_on": reasons}
    body: dict[str, Any] = {member: value for member, value in given.items() if value is not None}
    some_change({**body, **dict.fromkeys([*(to or ()), *(fallback or ())])}, "jan models routes edit")
    api = admin_api(context)
    found = find_route(api, route)
    if to or fallback:
        first = min(target["priority"] for target in found["targets"])
        wanted = targets(api, to, fallback, above=first)
        kept = [
            target for target in found["targets"] if not (to if target["priority"] == first else fallback)
        ]
        body["targets"] = sorted([*wanted, *kept], key=lambda target: target["priority"])
    changed = api.call("PATCH", "models", "routes", found["id"], body=body)
    report(changed, f"{changed['name']} is {targets_of(changed, provider_names(api))}.", as_json=as_json)


@app.command("remove")
def remove(context: typer.Context, route: Route, yes: Yes = False) -> None:
    """Remove a route; the models behind it stay.

    Example: jan models routes remove fast --yes
    """
    api = admin_api(context)
    found = find_route(api, route)
    confirm_or_decline(f"Remove the route {found['name']}?", yes=yes, declined="Nothing was removed.")
    api.call("DELETE", "models", "routes", found["id"])
    note(f"{found['name']} was removed.")


def find_route(api: AdminApi, wanted: str) -> dict[str, Any]:
    """The route with this id or this name.

    Raises:
        CommandError: There is none.
    """
    found = [route for route in api.all_rows("models", "routes") if wanted in (route["id"], route["name"])]
    return only(found, "route", wanted, label=lambda route: route["id"], see="jan models routes list")


def targets(
    api: AdminApi, to: list[str] | None, fallback: list[str] | None, *, above: int = 0
) -> list[dict[str, Any]]:
    """The models of a route as the platform takes them: `to` share one priority, fallbacks follow."""
    first = [{**target(api, text), "priority": above} for text in to or ()]
    others = [
        {**target(api, text), "priority": above + number}
        for number, text in enumerate(fallback or (), start=1)
    ]
    return first + others


def target(api: AdminApi, text: str) -> dict[str, Any]:
    """A model of a route from `MODEL@PROVIDER:WEIGHT`."""
    match = _WEIGHT.fullmatch(text)
    named = match["model"] if match else text
    model, _, provider = named.partition("@")
    found: dict[str, Any] = {"model": model.strip()}
    if match:
        found["weight"] = int(match["weight"])
    if provider:
        found["provider_id"] = find_provider(api, provider.strip())["id"]
    return found


def given_reasons(text: str | None) -> list[str] | None:
    """What `--fallback-on` says.

    Raises:
        CommandError: One of the reasons is unknown.
    """
    if text is None:
        return None
    given = [reason.strip().replace("-", "_") for reason in text.split(",") if reason.strip()]
    if given == ["none"]:
        return []
    for reason in given:
        if reason not in REASONS:
            raise CommandError(
                f"--fallback-on does not know {reason!r}.",
                f"It takes {', '.join(REASONS)}, or none.",
                exit_code=2,
            )
    return given


def provider_names(api: AdminApi) -> dict[str, str]:
    """What each provider is called, by id."""
    return {each["id"]: each["name"] for each in api.call("GET", "providers")}


def targets_of(route: dict[str, Any], names: dict[str, str]) -> str:
    """The models of a route in one line: `a (2) + b (1), then c`."""
    by_priority: dict[int, list[str]] = {}
    for each in sorted(route["targets"], key=lambda target: target["priority"]):
        provider = each.get("provider_id")
        words = each["model"] + (f"@{names.get(provider, provider)}" if provider else "")
        by_priority.setdefault(each["priority"], []).append(
            words if each["weight"] == 1 else f"{words} ({each['weight']})"
        )
    return ", then ".join(" + ".join(group) for group in by_priority.values())
