"""`jan models show`, `enable`, `disable` and `edit`: the models that providers offer."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from jan_cli.admin_api import AdminApi, admin_api, only, report
from jan_cli.commands.providers import find_provider
from jan_cli.console import CommandError, counted, print_json, print_table, warn
from jan_cli.options import AsJson, cleared, pairs, some_change

MODELS_A_CALL = 1000

PRICES = {
    "input_price": ("per_1k_prompt_tokens", 1000),
    "output_price": ("per_1k_completion_tokens", 1000),
    "request_price": ("per_request", 1_000_000),
    "image_price": ("per_image", 1_000_000),
}
"""The unit of each price, and how many of its millionths of a dollar make one of what is given."""

CLEARABLE = ("prices", "context", "max_answer", "instruct")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model's id, or the id of a provider's entry.")]
ProviderName = Annotated[
    str | None, typer.Option("--provider", metavar="PROVIDER", help="Of the provider with this name or id.")
]
Patterns = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATTERN", help="Model ids; * stands for anything: openai/gpt-4*"),
]


def show(
    context: typer.Context, model: Model, provider: ProviderName = None, as_json: AsJson = False
) -> None:
    """Show one model: who offers it, at which prices, and what the catalogue knows of it.

    Example: jan models show openai/gpt-4o
    """
    api = admin_api(context)
    found = find_offers(api, model, provider)
    first = found[0]
    catalog = (
        api.call("GET", "models", "catalogs", first["model_catalog_id"])
        if first.get("model_catalog_id")
        else None
    )
    if as_json:
        print_json({"id": first["model_public_id"], "offers": found, "catalog": catalog})
        return
    rows: list[tuple[str, object]] = [("id", first["model_public_id"])]
    for offer in found:
        dollars_in, dollars_out = dollars_per_million(offer["pricing"])
        limits = offer.get("token_limits") or {}
        rows += [
            ("offered by", f"{offer['provider']} as {offer['provider_original_model_id']}"),
            ("  entry", offer["id"]),
            ("  state", state(offer)),
            ("  name", offer["model_display_name"]),
            ("  category", offer["category"] or "-"),
            ("  place", f"{offer['category_order_number']}, {offer['model_order_number']}"),
            ("  context", limits.get("context_length") or "-"),
            ("  longest answer", limits.get("max_completion_tokens") or "-"),
            ("  $ per 1M tokens", f"{dollars_in or '-'} in, {dollars_out or '-'} out"),
        ]
        if offer.get("instruct_model_public_id"):
            rows.append(("  instruct partner", offer["instruct_model_public_id"]))
    print_table(("MEMBER", "VALUE"), [*rows, *catalog_rows(catalog)])


def catalog_rows(catalog: dict[str, Any] | None) -> list[tuple[str, object]]:
    """What the catalogue knows of a model, as rows of a table."""
    if catalog is None:
        return []
    supports = [
        name.removeprefix("supports_")
        for name, value in catalog.items()
        if name.startswith("supports_") and value is True
    ]
    defaults = catalog["supported_parameters"]["default"]
    rows: list[tuple[str, object]] = [
        ("catalogue", f"{'on' if catalog['active'] else 'off'}, {catalog['status']}"),
        ("  family", catalog["family"] or "-"),
        ("  context", catalog.get("context_length") or "-"),
        ("  supports", ", ".join(supports) or "-"),
        ("  defaults", ", ".join(f"{name}={value}" for name, value in defaults.items()) or "-"),
    ]
    if catalog["experimental"]:
        rows.append(("  experimental", "yes"))
    for member, words in (
        ("requires_feature_flag", "needs the flag"),
        ("description", "description"),
        ("notes", "notes"),
    ):
        if catalog.get(member):
            rows.append((f"  {words}", catalog[member]))
    if catalog.get("tags"):
        rows.append(("  tags", ", ".join(catalog["tags"])))
    return rows


def enable(
    context: typer.Context, patterns: Patterns = None, provider: ProviderName = None, as_json: AsJson = False
) -> None:
    """Offer models. Without a pattern, --provider names whose models; give '*' for all.

    Example: jan models enable "openai/gpt-4*" "openai/o*"
    """
    switch(context, patterns, provider, as_json, on=True)


def disable(
    context: typer.Context, patterns: Patterns = None, provider: ProviderName = None, as_json: AsJson = False
) -> None:
    """Offer models no longer. Without a pattern, --provider names whose models; give '*' for all.

    Example: jan models disable --provider Groq "*preview*"
    """
    switch(context, patterns, provider, as_json, on=False)


def switch(
    context: typer.Context, patterns: list[str] | None, provider: str | None, as_json: bool, *, on: bool
) -> None:
    """Switch the models that fit on or off.

    Raises:
        CommandError: Nothing says which, or a pattern fits none.
    """
    word = "enable" if on else "disable"
    if not patterns and provider is None:
        raise CommandError(
            "Nothing says which models.",
            f"Give patterns, --provider, or both: jan models {word} 'openai/*'",
            exit_code=2,
        )
    api = admin_api(context)
    models = list_offered(api, None, provider, None)
    chosen: dict[str, dict[str, Any]] = {}
    for pattern in patterns or ["*"]:
        fitting = [model for model in models if fits(model, pattern)]
        if not fitting:
            raise CommandError(f"No model is called {pattern!r}.", "See: jan models list")
        chosen |= {model["id"]: model for model in fitting}
    wanted = [identity for identity, model in chosen.items() if model["active"] != on]
    skipped = 0
    for begin in range(0, len(wanted), MODELS_A_CALL):
        body = {"enable": on, "provider_model_ids": wanted[begin : begin + MODELS_A_CALL]}
        skipped += api.call("POST", "models", "provider-models", "bulk-toggle", body=body)["skipped_count"]
    outcome = {"matched": len(chosen), "changed": len(wanted) - skipped, "skipped": skipped}
    done = f"Switched {'on' if on else 'off'}: {counted(outcome['changed'], 'model')}"
    report(outcome, f"{done}; {len(chosen) - len(wanted)} of {len(chosen)} were so already.", as_json=as_json)
    if skipped:
        warn(
            f"{counted(skipped, 'model')} stay off, because the catalogue has them switched off.",
            "jan models catalog list --inactive; jan models catalog edit MODEL --active",
        )


def edit(
    context: typer.Context,
    model: Model,
    provider: ProviderName = None,
    name: Annotated[str | None, typer.Option(help="How it is shown.")] = None,
    category: Annotated[str | None, typer.Option(help="Under which heading it is shown.")] = None,
    category_order: Annotated[int | None, typer.Option(min=0, help="The place of the heading.")] = None,
    order: Annotated[int | None, typer.Option(min=0, help="Its place under the heading.")] = None,
    input_price: Annotated[str | None, typer.Option(help="Dollars for a million tokens of input.")] = None,
    output_price: Annotated[str | None, typer.Option(help="Dollars for a million tokens of output.")] = None,
    request_price: Annotated[str | None, typer.Option(help="Dollars for a request.")] = None,
    image_price: Annotated[str | None, typer.Option(help="Dollars for a picture.")] = None,
    context_length: Annotated[
        int | None, typer.Option("--context", min=1, help="Tokens of its context.")
    ] = None,
    max_answer: Annotated[int | None, typer.Option(min=1, help="Tokens of its longest answer.")] = None,
    instruct: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model that answers when thinking is switched off."),
    ] = None,
    defaults: Annotated[
        list[str] | None,
        typer.Option(
            "--default",
            metavar="NAME=VALUE",
            help="A default parameter, whoever offers it; an empty value takes it away. Repeatable.",
        ),
    ] = None,
    tools: Annotated[
        bool | None, typer.Option("--tools/--no-tools", help="Whether it takes tools, whoever offers it.")
    ] = None,
    clear: Annotated[
        list[str] | None, typer.Option(help=f"Take away: {', '.join(CLEARABLE)}, or all. Repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a model as its provider offers it; what is not given stays.

    More of what holds whoever offers it: jan models catalog edit

    Example: jan models edit openai/gpt-4o --input-price 2.50 --output-price 10 --context 128000
    """
    gone = cleared(clear, CLEARABLE)
    given = {
        "model_display_name": name,
        "category": category,
        "category_order_number": category_order,
        "model_order_number": order,
        "instruct_model_public_id": "" if "instruct" in gone else instruct,
    }
    body: dict[str, Any] = {member: value for member, value in given.items() if value is not None}
    priced = {
        option: price(option, text)
        for option, text in (
            ("input_price", input_price),
            ("output_price", output_price),
            ("request_price", request_price),
            ("image_price", image_price),
        )
        if text is not None
    }
    limits = {"context_length": context_length, "max_completion_tokens": max_answer}
    limited = any(value is not None for value in limits.values()) or bool(
        {"context", "max_answer"} & set(gone)
    )
    in_catalog = {} if tools is None else {"supports_tools": tools}
    parameters = pairs(defaults, "--default")
    some_change(
        {**body, **priced, **in_catalog, **parameters, **(limits if limited else {}), **dict.fromkeys(gone)},
        "jan models edit",
    )
    api = admin_api(context)
    found = only(
        find_offers(api, model, provider),
        "model",
        model,
        label=lambda each: f"{each['id']} ({each['provider']})",
        see="jan models list",
    )
    if priced or "prices" in gone:
        lines = [] if "prices" in gone else found["pricing"]["lines"] or []
        units = {line["unit"] for line in priced.values()}
        body["pricing"] = {
            "lines": [*(line for line in lines if line["unit"] not in units), *priced.values()]
        }
    if limited:
        kept = dict(found.get("token_limits") or {})
        for member, word in (("context_length", "context"), ("max_completion_tokens", "max_answer")):
            if word in gone:
                kept.pop(member, None)
            if limits[member] is not None:
                kept[member] = limits[member]
        body["token_limits"] = kept or None
    if in_catalog or parameters:
        change_catalog(api, found.get("model_catalog_id") or found["model_public_id"], in_catalog, parameters)
    if body:
        api.call("PATCH", "models", "provider-models", found["id"], body=body)
    changed = api.call("GET", "models", "provider-models", found["id"]) if as_json else found
    report(changed, f"{found['model_public_id']} of {found['provider']} was changed.", as_json=as_json)


def change_catalog(
    api: AdminApi, model: str, changes: dict[str, Any], parameters: dict[str, str]
) -> dict[str, Any]:
    """Change a catalogue entry; default parameters are merged, and an empty one is taken away."""
    body = dict(changes)
    if parameters:
        supported = api.call("GET", "models", "catalogs", model)["supported_parameters"]
        merged = {**supported["default"], **parameters}
        body["supported_parameters"] = {
            "names": supported["names"],
            "default": {name: value for name, value in merged.items() if value not in ("", None)},
        }
    return dict(api.call("PATCH", "models", "catalogs", model, body=body))


def list_offered(
    api: AdminApi, search: str | None, provider: str | None, active: bool | None
) -> list[dict[str, Any]]:
    """The models of providers as they are shown in the public list, each with its provider's name.

    Raises:
        CommandError: There is no such provider.
    """
    providers = {each["id"]: each for each in api.call("GET", "providers")}
    wanted = None if provider is None else find_provider(api, provider)["id"]
    query = {
        "search": search,
        "provider_id": wanted,
        "active": active,
        "sort_by": "category_order,model_order",
    }
    return [described(model, providers) for model in api.all_rows("models", "provider-models", query=query)]


def described(model: dict[str, Any], providers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A provider's model with what a list of models shows of it."""
    provider = providers.get(model["provider_id"], {})
    return {
        **model,
        "entry": model["id"],
        "provider": provider.get("name", model["provider_vendor"]),
        "provider_active": provider.get("active", True),
        "context_length": (model.get("token_limits") or {}).get("context_length"),
    }


def find_offers(api: AdminApi, wanted: str, provider: str | None) -> list[dict[str, Any]]:
    """Every provider's entry of a model.

    Raises:
        CommandError: Nobody offers it, or only part of its id was given and several end so.
    """
    models = list_offered(api, None, provider, None)
    found = [
        model
        for model in models
        if wanted in (model["id"], model["model_public_id"], model["provider_original_model_id"])
    ]
    # The vendor may be left out.
    found = found or [model for model in models if model["model_public_id"].endswith(f"/{wanted}")]
    if not found:
        raise CommandError(f"There is no model {wanted!r}.", "See: jan models list")
    if len({model["model_public_id"] for model in found}) > 1:
        names = ", ".join(sorted({model["model_public_id"] for model in found}))
        raise CommandError(f"Several models are called {wanted!r}.", f"Give one of: {names}")
    return found


def fits(model: dict[str, Any], pattern: str) -> bool:
    """Whether a pattern fits a model's id, its entry's or the one that its provider gave it."""
    names: Sequence[str] = (model["model_public_id"], model["provider_original_model_id"], model["id"])
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in names)


def price(option: str, text: str) -> dict[str, Any]:
    """A price as the platform stores it, in whole millionths of a dollar.

    Raises:
        CommandError: It is no price, or finer than that.
    """
    unit, factor = PRICES[option]
    name = f"--{option.replace('_', '-')}"
    try:
        amount = Decimal(text) * factor
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise CommandError(
            f"{name} {text!r} is no amount of dollars.",
            f"Give a number with at most {len(str(factor)) - 1} decimals, such as 2.5",
            exit_code=2,
        )
    return {"unit": unit, "amount_micro_usd": int(amount), "currency": "USD"}


def dollars_per_million(pricing: dict[str, Any] | None) -> tuple[str, str]:
    """The prices of a million tokens of input and of output; empty where they are unknown."""
    amounts = {line["unit"]: line["amount_micro_usd"] for line in (pricing or {}).get("lines") or ()}
    shown = [
        f"{amounts[unit] / factor:g}" if unit in amounts else ""
        for unit, factor in (PRICES["input_price"], PRICES["output_price"])
    ]
    return shown[0], shown[1]


def state(model: dict[str, Any]) -> str:
    """Whether a model can be called."""
    if not model["active"]:
        return "off"
    return "active" if model["provider_active"] else "provider off"
