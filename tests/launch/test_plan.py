"""The plan: what runs here, what runs elsewhere, and where each part listens."""

from typing import Any

import pytest

from jan_server.launch.plan import Kind, Plan, make_plan, without_credentials
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import PARTS


def plan(**settings: Any) -> Plan:
    return make_plan(Settings.model_validate(settings), PARTS, ["local"])


def kinds(made: Plan) -> dict[str, Kind]:
    return {planned.name: planned.kind for planned in made.parts}


def test_by_default_everything_runs_here() -> None:
    made = plan()
    assert kinds(made) == {
        "postgres": Kind.CHILD,
        "identity": Kind.SERVICE,
        "inference": Kind.CHILD,
        "llm-api": Kind.SERVICE,
        "mcp-tools": Kind.SERVICE,
        "response-api": Kind.SERVICE,
        "gateway": Kind.SERVICE,
    }
    assert {port.service: port.port for port in made.ports()} == {
        "identity": 8085,
        "inference": 8101,
        "llm-api": 8080,
        "mcp-tools": 8091,
        "response-api": 8082,
        "gateway": 8000,
    }
    assert {port.host for port in made.ports()} == {"127.0.0.1"}
    assert made.schemas() == ["identity", "llm_api", "mcp_tools", "response_api"]


def test_a_database_elsewhere_is_shown_without_its_password() -> None:
    made = plan(
        infrastructure={"database": {"url": "postgresql://jan:secret@db.example:5433/jan?sslmode=require"}}
    )
    postgres = made.find("postgres")
    assert postgres is not None
    assert (postgres.kind, postgres.address) == (Kind.EXTERNAL, "postgresql://db.example:5433/jan")


def test_a_keycloak_is_asked_for_its_realm() -> None:
    made = plan(
        identity={"mode": "keycloak"},
        infrastructure={"auth": {"keycloak": {"base_url": "https://id.example/", "realm": "people"}}},
    )
    identity = made.find("identity")
    assert identity is not None
    assert identity.kind is Kind.EXTERNAL
    assert (identity.address, identity.health_path) == ("https://id.example", "/realms/people")
    assert "identity" not in {port.service for port in made.ports()}
    assert made.schemas() == ["llm_api", "mcp_tools", "response_api"]


@pytest.mark.parametrize("provider", ["remote", "vllm-gpu", "vllm-cpu"])
def test_no_engine_is_started_when_answers_come_from_elsewhere(provider: str) -> None:
    made = plan(
        inference={
            "provider": provider,
            "remote": {"url": "http://llm.example/v1"},
            "vllm": {"enabled": True},
        }
    )
    assert kinds(made)["inference"] is Kind.EXTERNAL


def test_the_engine_stays_on_this_machine_wherever_services_listen() -> None:
    made = plan(server={"listen_address": "0.0.0.0"})
    hosts = {port.service: port.host for port in made.ports()}
    assert hosts["gateway"] == "0.0.0.0"
    assert hosts["inference"] == "127.0.0.1"
    gateway = made.find("gateway")
    assert gateway is not None
    assert gateway.address == "http://127.0.0.1:8000"


def test_states_begin_with_what_is_planned() -> None:
    [postgres, *_] = plan().states()
    assert (postgres.name, postgres.kind, postgres.phase) == ("postgres", "child", "waiting")


def test_credentials_are_left_out_of_addresses() -> None:
    assert without_credentials("postgresql://a:b@c/d?password=e") == "postgresql://c/d"
    assert without_credentials("") == ""
