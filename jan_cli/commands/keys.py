"""`jan keys`: everybody's API keys, and the limits of keys and users."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from jan_cli.admin_api import AdminApi, admin_api, only, report
from jan_cli.console import CommandError, confirm_or_decline, note, print_json, print_table
from jan_cli.options import AsJson, Yes, cleared

app = typer.Typer(
    name="keys",
    help="Keep API keys and their limits. The platform has to run.",
    epilog="Example: jan keys create ci --owner ada@example.org --budget-usd 25 --requests 60",
    no_args_is_help=True,
)

LIMITS = (
    "project_id",
    "allowed_models",
    "denied_models",
    "cache",
    "requests_per_minute",
    "tokens_per_minute",
    "budget_usd",
    "budget_tokens",
)

Key = Annotated[
    str, typer.Argument(metavar="KEY", help="The id of a key, or its name where only one has it.")
]
Owner = Annotated[
    str | None, typer.Option(metavar="USER", help="A local number, a username or an e-mail address.")
]
Models = Annotated[
    str | None, typer.Option(metavar="LIST", help="Patterns of allowed models, separated by commas.")
]
Denied = Annotated[
    str | None,
    typer.Option("--deny", metavar="LIST", help="Patterns of models that are refused, separated by commas."),
]
CacheSeconds = Annotated[
    int | None, typer.Option("--cache", metavar="SECONDS", min=1, help="Use answers again for so long.")
]
CacheShared = Annotated[
    bool, typer.Option("--cache-shared", help="Also for other users whose keys say the same; with --cache.")
]
Requests = Annotated[int | None, typer.Option(min=1, help="Requests a minute.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Tokens a minute.")]
BudgetUsd = Annotated[float | None, typer.Option(min=0, help="Dollars a period.")]
BudgetTokens = Annotated[int | None, typer.Option(min=0, help="Tokens a period.")]
PeriodName = Annotated[str | None, typer.Option("--period", help="Period of budgets: day or month.")]
Project = Annotated[str | None, typer.Option(metavar="ID", help="The project that calls count for.")]


@app.command("list")
def list_keys(context: typer.Context, owner: Owner = None, as_json: AsJson = False) -> None:
    """Show keys with their owners and limits, the newest first.

    Example: jan keys list --owner ada@example.org
    """
    keys = all_keys(admin_api(context), owner)
    if as_json:
        print_json(keys)
        return
    print_table(
        ("NAME", "OWNER", "STATE", "EXPIRES", "LIMITS", "ID"),
        [(key["name"], owner_of(key), key["status"], end_of(key), limits_of(key), key["id"]) for key in keys],
    )


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")],
    owner: Owner = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long it works.")] = None,
    models: Models = None,
    deny: Denied = None,
    cache: CacheSeconds = None,
    cache_shared: CacheShared = False,
    requests: Requests = None,
    tokens: Tokens = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    period: PeriodName = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, which nobody can show again.

    Without --owner it is the application administrator's.

    Example: jan keys create ci --owner ada@example.org --models "openai/*" --budget-usd 25
    """
    body = given_limits(models, requests, tokens, budget_usd, budget_tokens, period, project)
    body |= given_policy(deny, cache, shared=cache_shared)
    body |= {"name": name} | ({} if owner is None else {"owner": owner})
    body |= {} if days is None else {"expires_in_days": days}
    key = admin_api(context).call("POST", "api-keys", body=body)
    if as_json:
        print_json(key)
        return
    sys.stdout.write(f"{key['key']}\n")
    note(f"{key['name']} of {owner_of(key)}, until {end_of(key)}: {limits_of(key) or 'no limits'}")


@app.command("limit")
def limit(
    context: typer.Context,
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="The id of a key, or its name where only one has it."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Limit all credentials of this user together, instead of a key."),
    ] = None,
    models: Models = None,
    deny: Denied = None,
    cache: CacheSeconds = None,
    cache_shared: CacheShared = False,
    requests: Requests = None,
    tokens: Tokens = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    period: PeriodName = None,
    project: Project = None,
    clear: Annotated[
        list[str] | None, typer.Option(help=f"Take a limit away: {', '.join(LIMITS)}, or all. Repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change the limits of a key or a user; what is not given stays.

    Example: jan keys limit ci --requests 60 --clear budget_usd
    """
    if (key is None) == (user is None):
        raise CommandError("Give either a KEY or --user.", exit_code=2)
    body: dict[str, Any] = {}
    # A user counts for no project, and says nothing about the cache.
    limited = tuple(each for each in LIMITS if key is not None or each not in ("project_id", "cache"))
    body |= dict.fromkeys(cleared(clear, limited))
    body |= given_limits(models, requests, tokens, budget_usd, budget_tokens, period, project)
    body |= given_policy(deny, cache, shared=cache_shared)
    if not body:
        raise CommandError("No limit is given.", "See: jan keys limit --help", exit_code=2)
    api = admin_api(context)
    if user is not None:
        changed = api.call("PATCH", "user-limits", user, body=body)
    else:
        changed = api.call("PATCH", "api-keys", find_key(api, str(key))["id"], body=body)
    done = f"{user or changed['name']}: {limits_of(changed) or 'no limits'}"
    report(changed, done, as_json=as_json)


@app.command("extend")
def extend(
    context: typer.Context,
    key: Key,
    days: Annotated[int | None, typer.Option(min=1, help="How long it works from now on.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Let it work without an end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a key end later or sooner; one that has expired works again.

    Example: jan keys extend ci --days 30
    """
    if (days is None) == (not forever):
        raise CommandError("Give either --days or --forever.", exit_code=2)
    api = admin_api(context)
    body = {"expires_at": None} if days is None else {"expires_in_days": days}
    changed = api.call("PATCH", "api-keys", find_key(api, key, "active", "expired")["id"], body=body)
    report(changed, f"{changed['name']} works until {end_of(changed)}.", as_json=as_json)


@app.command("revoke")
def revoke(
    context: typer.Context,
    key: Key,
    yes: Yes = False,
) -> None:
    """Make a key useless for good.

    Example: jan keys revoke ci --yes
    """
    api = admin_api(context)
    found = find_key(api, key)
    question = f"Revoke the key {found['name']} of {owner_of(found)}?"
    confirm_or_decline(question, yes=yes, declined="No key was revoked.")
    api.call("DELETE", "api-keys", found["id"])
    note(f"{found['name']} was revoked.")


def all_keys(api: AdminApi, owner: str | None = None) -> list[dict[str, Any]]:
    """Every key, however many there are."""
    return api.all_rows("api-keys", query={"owner": owner}, member="items")


def find_key(api: AdminApi, named: str, *states: str) -> dict[str, Any]:
    """The key with this id, or the only one with this name in one of these states; active by default.

    Raises:
        CommandError: There is none, or more than one.
    """
    keys = all_keys(api)
    found = [key for key in keys if key["id"] == named.lower()]
    found = found or [
        key for key in keys if key["name"] == named and key["status"] in (states or ("active",))
    ]
    return only(found, "key", named, label=lambda key: key["id"], see="jan keys list")


def given_limits(
    models: str | None,
    requests: int | None,
    tokens: int | None,
    budget_usd: float | None,
    budget_tokens: int | None,
    period: str | None,
    project: str | None,
) -> dict[str, Any]:
    """The limits of the command line as the platform takes them; those that were given."""
    limits = {
        "allowed_models": None if models is None else [each.strip() for each in models.split(",")],
        "requests_per_minute": requests,
        "tokens_per_minute": tokens,
        "budget_usd": None if budget_usd is None else str(budget_usd),
        "budget_tokens": budget_tokens,
        "budget_period": period,
        "project_id": project,
    }
    return {name: value for name, value in limits.items() if value is not None}


def given_policy(deny: str | None, cache: int | None, *, shared: bool) -> dict[str, Any]:
    """What the command line says about denied models and the cache, as the platform takes it."""
    if shared and cache is None:
        raise CommandError("--cache-shared needs --cache.", exit_code=2)
    body: dict[str, Any] = {} if cache is None else {"cache": {"ttl": cache, "shared": shared}}
    return body | ({} if deny is None else {"denied_models": [each.strip() for each in deny.split(",")]})


def end_of(key: dict[str, Any]) -> str:
    """The day on which a key ends."""
    return str(key.get("expires_at") or "never")[:10]


def owner_of(key: dict[str, Any]) -> str:
    """How a key's owner is called."""
    return str(key["email"] or key["username"] or f"user {key['user_id']}")


def limits_of(limited: dict[str, Any]) -> str:
    """The limits of a key or a user in a few words."""
    words = []
    if models := limited.get("allowed_models"):
        words.append(f"models {' '.join(models)}")
    if denied := limited.get("denied_models"):
        words.append(f"not {' '.join(denied)}")
    if cache := limited.get("cache"):
        words.append(f"{'shared ' if cache['shared'] else ''}cache of {cache['ttl']:,} s")
    if (requests := limited.get("requests_per_minute")) is not None:
        words.append(f"{requests:,} requests/min")
    if (tokens := limited.get("tokens_per_minute")) is not None:
        words.append(f"{tokens:,} tokens/min")
    if (dollars := limited.get("budget_usd")) is not None:
        words.append(f"{dollars} USD/{limited['budget_period']}")
    if (tokens := limited.get("budget_tokens")) is not None:
        words.append(f"{tokens:,} tokens/{limited['budget_period']}")
    if project := limited.get("project_id"):
        words.append(f"counts for {project}")
    return ", ".join(words)
