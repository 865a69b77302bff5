"""The OpenAPI document: valid, complete, and true of what the service answers.

`schemathesis` sends generated requests, wrong ones included, to every operation of the document, and
follows ids from one operation to the next. Here it is brief and repeatable; `make schemathesis` looks longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import schemathesis
from aiohttp import web
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from schemathesis.engine import events, from_schema

from jan_server.http.context import ServiceContext
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.app import create_app
from jan_server.services.llm_api.identity_server import IdentityServer
from jan_server.settings.tree import Settings, plain
from tests.doubles.openai_upstream import Answer, Call, Custom, EmbeddingsOf, OpenAIUpstream, TextCompletion
from tests.services.llm_api.conftest import UPSTREAM_KEY, settings_for
from tests.services.llm_api.platform import listening

DEEP = int(os.environ.get("JAN_SCHEMATHESIS_EXAMPLES", "0"))
EXAMPLES = DEEP or 2
PHASES = ("examples", "coverage", "fuzzing", "stateful") if DEEP else ("examples", "fuzzing", "stateful")

LEFT_OUT = {
    # A wrong method is 404 everywhere, as a path that does not exist.
    "unsupported_method",
    "allow_header_conformance",
    # Rules that span members, states and settings answer 400, and no schema can say them.
    "positive_data_acceptance",
    "missing_required_header",
}
# What an installation does not offer, and a provider that is not there, are answers too; 500 never is.
EXPECTED = ["2xx", "3xx", "4xx", "501", "502"]

# The models that the examples of the document name.
MODELS = [
    "jan/smollm2-135m-instruct",
    "jan/wordllama-256",
    "baai/bge-reranker-v2-m3",
    "omni-moderation-latest",
]


async def in_the_form_of_the_path(request: web.Request, call: Call) -> web.StreamResponse:
    """What a provider answers on each of its paths."""
    if call.path.endswith("/embeddings"):
        return await EmbeddingsOf().respond(request, call)
    if call.path.endswith("/completions") and "chat" not in call.path:
        return await TextCompletion().respond(request, call)
    return await Answer().respond(request, call)


@pytest.fixture(scope="module")
def app_settings(issuer_url: str) -> Settings:
    return settings_for(
        issuer_url,
        admin_requests_per_minute=0,
        guest_logins_per_hour=0,
        conversations={"public_reads_per_minute": 0},
    )


@pytest.fixture(scope="module")
async def served(
    app_settings: Settings,
    database_url: str,
    client: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[FastAPI, str]]:
    """The service as a whole, and its address."""
    async with OpenAIUpstream(models=MODELS, api_key=UPSTREAM_KEY) as upstream:
        upstream.always(Custom(in_the_form_of_the_path))
        inference = {
            "provider": "remote",
            "remote": {"url": upstream.url, "api_key": UPSTREAM_KEY},
            "embeddings": {"builtin": False},
            "timeouts": {"connect": "1s"},
        }
        settings = Settings.model_validate(plain(app_settings) | {"inference": inference})
        app = create_app(ServiceContext(settings, tmp_path_factory.mktemp("home"), database_url, client))
        assert isinstance(app, FastAPI)
        async with listening(app) as url:
            await app.state.resources.serving.sync.sync_providers()
            yield app, url


@pytest.fixture(scope="module")
def document(served: tuple[FastAPI, str]) -> dict[str, Any]:
    return served[0].openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation with its name, for example `GET /healthz`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_is_in_it(served: tuple[FastAPI, str], document: dict[str, Any]) -> None:
    app, _ = served
    shown = {name for name, _ in operations(document)}
    routes = [*app.routes, *app.state.fast_routes.values()]
    unseen = {
        f"{method} {path}"
        for route in routes
        if not getattr(route, "include_in_schema", True) or type(route).__name__ == "Route"
        for path in [getattr(route, "path", "").removeprefix("/llm").replace(":path}", "}")]
        for method in (getattr(route, "methods", None) or ())
        if path.startswith(("/v1/", "/auth/")) and (method != "HEAD" or "public" in path)
    } - shown
    assert unseen == set()


def test_every_operation_says_what_it_is_for_and_what_it_answers(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name
        assert "422" not in operation["responses"] or "Unprocessable" in str(operation["responses"]["422"]), (
            name
        )
        if "security" in operation:
            assert "401" in operation["responses"], name


def test_its_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    components = document["components"]
    found = [
        (name, schema, example)
        for name, schema in components["schemas"].items()
        for example in [*schema.get("examples", ()), *([schema["example"]] if "example" in schema else ())]
    ]
    for response in components["responses"].values():
        content = response["content"]["application/json"]
        found.append((response["description"], content["schema"], content["example"]))
    bare = []
    for name, operation in operations(document):
        for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
            content = holder.get("content", {}).get("application/json")
            if content is None:
                continue
            model = components["schemas"].get(content["schema"].get("$ref", "").rpartition("/")[2], {})
            if "example" in content:
                found.append((name, content["schema"], content["example"]))
            elif "example" not in model and not model.get("examples"):
                bare.append(name)
    assert bare == []
    assert len(found) > 100
    wrong = [
        (name, failure.message)
        for name, schema, example in found
        for failure in Draft202012Validator({**schema, "components": components}).iter_errors(example)
    ]
    assert wrong == []


async def test_every_answer_is_in_it(
    served: tuple[FastAPI, str], document: dict[str, Any], identity: IdentityServer, accounts: Accounts
) -> None:
    await accounts_of_an_administrator(accounts)
    tokens = await identity.password_grant("root@example.org", "a long pass phrase")
    failures = await asyncio.to_thread(tried, document, served[1], tokens.access_token)
    assert not failures, "\n\n".join(failures)


async def accounts_of_an_administrator(accounts: Accounts) -> None:
    user_id = await accounts.create(
        username="root", email="root@example.org", password="a long pass phrase", attributes={}
    )
    await accounts.add_role(user_id, "admin")


def tried(document: dict[str, Any], url: str, token: str) -> list[str]:
    """What was wrong with the answers, one line a failure."""
    config = schemathesis.Config.from_dict(
        {
            "seed": 7,
            "base-url": url,
            "headers": {"Authorization": f"Bearer {token}"},
            "request-timeout": 20,
            "continue-on-failure": True,
            "generation": {
                "deterministic": not DEEP,
                "max-examples": EXAMPLES,
                "database": "none",
                "no-shrink": not DEEP,
            },
            "checks": {
                "not_a_server_error": {"expected-statuses": EXPECTED},
                **{name: {"enabled": False} for name in sorted(LEFT_OUT)},
            },
            "phases": {
                name: {"enabled": name in PHASES} for name in ("examples", "coverage", "fuzzing", "stateful")
            },
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    failures: dict[tuple[str, str], str] = {}
    asked = set()
    for event in from_schema(schema).execute():
        if isinstance(event, (events.NonFatalError, events.FatalError)):
            failures[("error", str(event))] = f"{event!r}"
        if not isinstance(event, events.ScenarioFinished):
            continue
        for case in event.recorder.cases.values():
            asked.add(case.value.operation.label)
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    operation = event.recorder.cases[case_id].value.operation.label
                    told = f"{operation}: {check.failure_info.failure}"
                    failures.setdefault((operation, check.name), f"{told}\n{check.failure_info.code_sample}")
    assert asked == {name for name, _ in operations(document)}
    return sorted(failures.values())
