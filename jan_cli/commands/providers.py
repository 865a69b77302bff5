"""`jan providers`: where models come from: addresses, keys, what they are asked, and whether they answer."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from jan_cli.admin_api import AdminApi, admin_api, only, report
from jan_cli.console import (
    CommandError,
    confirm_or_decline,
    counted,
    note,
    print_json,
    print_table,
    stdout,
    warn,
)
from jan_cli.options import AsJson, Yes, pairs, some_change
from jan_cli.secret_input import asked_secret, environment_secret, optional_secret, piped_secret

app = typer.Typer(
    name="providers",
    help="Keep the providers of models. The platform has to run.",
    epilog="Example: jan providers add Groq --vendor groq --url https://api.groq.com/openai/v1 "
    "--key-env GROQ_API_KEY",
    no_args_is_help=True,
)


class Category(StrEnum):
    """What a provider answers."""

    LLM = "llm"
    IMAGE = "image"
    EMBEDDING = "embedding"


Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="A name or an id.")]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        metavar="URL[,weight=N][,priority=N]",
        help="An address, up to and including /v1; repeat it for more. The lowest priority is used first.",
    ),
]
KeyEnv = Annotated[
    str | None, typer.Option("--key-env", metavar="VARIABLE", help="Take the key from this variable.")
]
KeyStdin = Annotated[bool, typer.Option("--key-stdin", help="Take the key from standard input.")]
ImageGenerate = Annotated[
    bool | None,
    typer.Option("--image-generate/--no-image-generate", help="Whether pictures are made here by default."),
]
ImageEdit = Annotated[
    bool | None,
    typer.Option("--image-edit/--no-image-edit", help="Whether pictures are edited here by default."),
]
Tools = Annotated[
    bool | None, typer.Option("--tools/--no-tools", help="Whether its models take tools by themselves.")
]
AutoEnable = Annotated[
    bool | None,
    typer.Option("--auto-enable/--no-auto-enable", help="Whether new models are offered at once."),
]
Metadata = Annotated[
    list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="A note; repeat it for more.")
]
Concurrent = Annotated[
    int | None,
    typer.Option("--max-concurrent", min=0, help="Requests at a time from each process; 0 for any number."),
]
Queued = Annotated[
    int | None, typer.Option("--max-queued", min=0, help="Requests that may wait for their turn.")
]
QueueTimeout = Annotated[
    float | None, typer.Option("--queue-timeout", min=0, help="Seconds that a request may wait.")
]


@app.command("list")
def list_providers(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="Part of a name.")] = None,
    vendor: Annotated[str | None, typer.Option(help="Only of this vendor.")] = None,
    category: Annotated[Category | None, typer.Option(help="Only what answers this.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only those in use, or only the others.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show providers with their addresses, models and health.

    Example: jan providers list --active
    """
    query = {"search": search, "kind": vendor, "category": category, "active": active}
    found = admin_api(context).call("GET", "providers", query=query)
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "VENDOR", "CATEGORY", "ADDRESSES", "STATE", "MODELS", "HEALTH", "SYNCED", "ID"),
        [
            (
                each["name"],
                each["vendor"],
                each["category"],
                " ".join(entry["url"] for entry in each["endpoints"]) or "in the platform",
                state(each),
                f"{each['model_active_count']}/{each['model_count']}",
                health(each),
                moment(each["last_synced_at"]),
                each["id"],
            )
            for each in found
        ],
        right=("MODELS",),
    )


@app.command("show")
def show(context: typer.Context, provider: Provider, as_json: AsJson = False) -> None:
    """Show one provider.

    Example: jan providers show Groq
    """
    found = find_provider(admin_api(context), provider)
    if as_json:
        print_json(found)
        return
    addresses = [
        (
            f"address {number}",
            f"{entry['url']} (weight {entry['weight']}, priority {entry['priority']}, "
            f"{'healthy' if entry['healthy'] else 'failing'})",
        )
        for number, entry in enumerate(found["endpoints"], start=1)
    ]
    uses = [
        words
        for name, words in (
            ("default_provider_image_generate", "making pictures"),
            ("default_provider_image_edit", "editing pictures"),
        )
        if found[name]
    ]
    print_table(
        ("MEMBER", "VALUE"),
        [
            ("id", found["id"]),
            ("name", found["name"]),
            ("vendor", found["vendor"]),
            ("category", found["category"]),
            ("state", state(found)),
            *addresses,
            ("key", f"…{found['api_key_hint']}" if found["api_key_hint"] else "none"),
            ("models", f"{found['model_active_count']} of {found['model_count']} offered"),
            ("synced", moment(found["last_synced_at"])),
            ("default for", ", ".join(uses) or "nothing"),
            ("at once", concurrency(found)),
            *sorted((found.get("metadata") or {}).items()),
            ("kept by", "jan config" if is_described(found) else "jan providers"),
        ],
    )


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    urls: Urls = None,
    vendor: Annotated[
        str, typer.Option(help="Whose API it is: openai, anthropic, groq, … or custom.")
    ] = "custom",
    key_env: KeyEnv = None,
    key_stdin: KeyStdin = False,
    no_key: Annotated[bool, typer.Option("--no-key", help="It needs no key; do not ask for one.")] = False,
    category: Annotated[Category, typer.Option(help="What it answers.")] = Category.LLM,
    inactive: Annotated[bool, typer.Option("--inactive", help="Do not use it yet.")] = False,
    image_generate: ImageGenerate = None,
    image_edit: ImageEdit = None,
    tools: Tools = None,
    auto_enable: AutoEnable = None,
    metadata: Metadata = None,
    max_concurrent: Concurrent = None,
    max_queued: Queued = None,
    queue_timeout: QueueTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Add a provider; it is asked for its models at once.

    Its key is asked for without an echo on a terminal; elsewhere it has none unless --key-env or
    --key-stdin says where it is.

    Example: jan providers add "Team vLLM" --url http://10.0.0.5:8000/v1 --no-key
    """
    if not urls:
        raise CommandError(
            "--url is missing.", "Say where it answers: --url https://api.example.com/v1", exit_code=2
        )
    body = changes(
        urls,
        image_generate,
        image_edit,
        tools,
        auto_enable,
        metadata,
        max_concurrent,
        max_queued,
        queue_timeout,
    )
    body |= {"name": name, "vendor": vendor, "category": category, "active": not inactive}
    key = given_key(key_env, key_stdin, no_key)
    if key is None and not no_key:
        key = optional_secret(f"Key of {name}")
    body["api_key"] = key or ""
    made = admin_api(context).call("POST", "providers", body=body)
    offered = [model["model_public_id"] for model in made["models"] if model["active"]]
    few = ", ".join(offered[:5]) + (", …" if len(offered) > 5 else "")
    report(made, f"{made['name']} was added with {counted(len(offered), 'model')}: {few}", as_json=as_json)


@app.command("edit")
def edit(
    context: typer.Context,
    provider: Provider,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    urls: Urls = None,
    key: Annotated[
        bool, typer.Option("--key", help="Give another key: asked for, or read from standard input.")
    ] = False,
    key_env: KeyEnv = None,
    key_stdin: KeyStdin = False,
    no_key: Annotated[bool, typer.Option("--no-key", help="Take its key away.")] = False,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Whether it is used; its models follow it off.")
    ] = None,
    image_generate: ImageGenerate = None,
    image_edit: ImageEdit = None,
    tools: Tools = None,
    auto_enable: AutoEnable = None,
    metadata: Metadata = None,
    max_concurrent: Concurrent = None,
    max_queued: Queued = None,
    queue_timeout: QueueTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Change a provider; what is not given stays. The addresses that are given replace all it has.

    Example: jan providers edit Groq --key-env GROQ_API_KEY --max-concurrent 8
    """
    body = changes(
        urls,
        image_generate,
        image_edit,
        tools,
        auto_enable,
        metadata,
        max_concurrent,
        max_queued,
        queue_timeout,
    )
    body |= {} if name is None else {"name": name}
    body |= {} if active is None else {"active": active}
    secret = given_key(key_env, key_stdin, no_key, asked=key)
    if secret is None and key:
        secret = asked_secret(f"Key of {provider}")
    body |= {} if secret is None else {"api_key": secret}
    some_change(body, "jan providers edit")
    api = admin_api(context)
    found = find_provider(api, provider)
    if "metadata" in body:
        body["metadata"] = {**(found.get("metadata") or {}), **body["metadata"]}
    changed = api.call("PATCH", "providers", found["id"], body=body)
    if changed.get("api_key_removed"):
        warn(
            "The stored key was removed: it was given for another address.",
            f"Give it again: jan providers edit {changed['id']} --key",
        )
    report(changed, f"{changed['name']} was changed.", as_json=as_json)


@app.command("enable")
def enable(
    context: typer.Context,
    provider: Provider,
    models: Annotated[bool, typer.Option("--models", help="Switch on all of its models too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Use a provider again. Its models stay off without --models.

    Example: jan providers enable Groq --models
    """
    api = admin_api(context)
    found = find_provider(api, provider)
    changed = api.call("PATCH", "providers", found["id"], body={"active": True})
    if models:
        body = {"enable": True, "provider_id": found["id"]}
        api.call("POST", "models", "provider-models", "bulk-toggle", body=body)
        changed = api.call("GET", "providers", found["id"])
    offered = f"{changed['model_active_count']} of {changed['model_count']} models are on"
    remedy = f"; jan models enable --provider {found['id']}" if not changed["model_active_count"] else ""
    report(changed, f"{found['name']} is in use; {offered}{remedy}.", as_json=as_json)


@app.command("disable")
def disable(context: typer.Context, provider: Provider, as_json: AsJson = False) -> None:
    """Use a provider no longer; its models are switched off too.

    Example: jan providers disable Groq
    """
    api = admin_api(context)
    found = find_provider(api, provider)
    changed = api.call("PATCH", "providers", found["id"], body={"active": False})
    report(changed, f"{found['name']} and its models are switched off.", as_json=as_json)


@app.command("sync")
def sync(
    context: typer.Context,
    providers: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROVIDER", help="Names or ids. Default: all that are in use."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask providers for their models now. The exit code is 1 when one does not answer.

    Example: jan providers sync Groq
    """
    api = admin_api(context)
    chosen = chosen_providers(api, providers)
    synced = []
    for each in chosen:
        try:
            synced.append(api.call("POST", "providers", each["id"], "sync"))
        except CommandError as failure:
            warn(f"{each['name']}: {failure.message}")
            continue
        if not as_json:
            counts = f"{counted(synced[-1]['listed_models'], 'model')}, {synced[-1]['added_models']} new"
            stdout.print(f"{each['name']}: {counts}", markup=False)
    if as_json:
        print_json(synced)
    if len(synced) < len(chosen):
        raise typer.Exit(1)


@app.command("test")
def test(
    context: typer.Context,
    providers: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROVIDER", help="Names or ids. Default: all that are in use."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every address of providers for its models: does it answer, and how fast?

    The exit code is 1 when one does not.

    Example: jan providers test Groq
    """
    api = admin_api(context)
    results = [
        {"id": each["id"], "name": each["name"], **api.call("POST", "providers", each["id"], "test")}
        for each in chosen_providers(api, providers)
    ]
    if as_json:
        print_json(results)
    else:
        print_table(
            ("PROVIDER", "ADDRESS", "ANSWERS", "MS", "MODELS", "MESSAGE"),
            [row for result in results for row in check_rows(result)],
            right=("MS", "MODELS"),
        )
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


@app.command("remove")
def remove(context: typer.Context, provider: Provider, yes: Yes = False) -> None:
    """Remove a provider with its models.

    Example: jan providers remove Groq --yes
    """
    api = admin_api(context)
    found = find_provider(api, provider)
    question = f"Remove {found['name']} with {counted(found['model_count'], 'model')}?"
    confirm_or_decline(question, yes=yes, declined="Nothing was removed.")
    api.call("DELETE", "providers", found["id"])
    note(f"{found['name']} was removed.")


def find_provider(api: AdminApi, wanted: str) -> dict[str, Any]:
    """The provider with this id or, in any case, this name.

    Raises:
        CommandError: There is none, or more than one.
    """
    everybody = api.call("GET", "providers")
    found = [each for each in everybody if each["id"] == wanted]
    found = found or [each for each in everybody if each["name"].lower() == wanted.lower()]
    return only(found, "provider", wanted, label=lambda each: each["id"], see="jan providers list")


def chosen_providers(api: AdminApi, wanted: list[str] | None) -> list[dict[str, Any]]:
    """The named providers, or all that are in use."""
    if wanted:
        return [find_provider(api, each) for each in wanted]
    return list(api.call("GET", "providers", query={"active": True}))


def changes(
    urls: list[str] | None,
    image_generate: bool | None,
    image_edit: bool | None,
    tools: bool | None,
    auto_enable: bool | None,
    metadata: list[str] | None,
    max_concurrent: int | None,
    max_queued: int | None,
    queue_timeout: float | None,
) -> dict[str, Any]:
    """What was given, as the platform takes it."""
    notes = pairs(metadata, "--metadata")
    for member, given in (("tool_support", tools), ("auto_enable_new_models", auto_enable)):
        if given is not None:
            notes[member] = str(given).lower()
    members = {
        "endpoints": [endpoint(url) for url in urls] if urls else None,
        "metadata": notes or None,
        "default_provider_image_generate": image_generate,
        "default_provider_image_edit": image_edit,
        "max_concurrent_requests": max_concurrent,
        "max_queued_requests": max_queued,
        "queue_timeout_seconds": queue_timeout,
    }
    found = {member: value for member, value in members.items() if value is not None}
    # The platform's word for no limit is null.
    return found | ({"max_concurrent_requests": None} if max_concurrent == 0 else {})


def endpoint(text: str) -> dict[str, Any]:
    """An address from `URL,weight=N,priority=N`.

    Raises:
        CommandError: It is not written so.
    """
    url, *further = text.split(",")
    found: dict[str, Any] = {"url": url.strip()}
    for part in further:
        name, _, number = part.strip().partition("=")
        if name not in ("weight", "priority") or not number.isdecimal():
            raise CommandError(
                f"--url {text!r}: {part.strip()!r} is neither weight=N nor priority=N.",
                "Write it like https://api.example.com/v1,weight=2; repeat --url for another address.",
                exit_code=2,
            )
        found[name] = int(number)
    return found


def given_key(env: str | None, stdin: bool, none: bool, *, asked: bool = False) -> str | None:
    """The key from where the options say; empty for none, None when they do not say.

    Raises:
        CommandError: They say more than one thing, or nothing is there.
    """
    if [env is not None, stdin, none, asked].count(True) > 1:
        raise CommandError("Give only one of the options of the key.", exit_code=2)
    if env is not None:
        return environment_secret(env, "--key-env")
    if stdin:
        return piped_secret("Key of the provider")
    return "" if none else None


def check_rows(result: dict[str, Any]) -> list[tuple[object, ...]]:
    """The rows of one provider's test."""
    if not result["endpoints"]:
        return [(result["name"], "in the platform", "yes", "", "", "")]
    return [
        (
            result["name"],
            entry["url"],
            "yes" if entry["ok"] else "no",
            entry["latency_ms"],
            "" if entry["models"] is None else entry["models"],
            entry["message"],
        )
        for entry in result["endpoints"]
    ]


def is_described(provider: dict[str, Any]) -> bool:
    """Whether the settings say what this provider is."""
    return provider["source"] in ("engine", "settings")


def state(provider: dict[str, Any]) -> str:
    """Whether a provider is used."""
    return "active" if provider["active"] else "off"


def health(provider: dict[str, Any]) -> str:
    """How many addresses went well when they were last called."""
    endpoints = provider["endpoints"]
    healthy = sum(entry["healthy"] for entry in endpoints)
    if healthy == len(endpoints):
        return "healthy"
    return f"{healthy} of {len(endpoints)} healthy" if len(endpoints) > 1 else "failing"


def concurrency(provider: dict[str, Any]) -> str:
    """How many requests a provider gets at the same time, and what becomes of the others."""
    most = provider["max_concurrent_requests"]
    if most is None:
        return "any number of requests"
    waiting, seconds = provider["max_queued_requests"], provider["queue_timeout_seconds"]
    return f"{counted(most, 'request')}; {waiting:,} wait at most {seconds:g} s"


def moment(seconds: int | None) -> str:
    """A time of this machine, or `never`."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M") if seconds else "never"
