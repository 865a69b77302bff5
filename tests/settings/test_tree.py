"""The tree: its defaults, the names of its variables, and the addresses that follow their ports."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from jan_server.settings.durations import parse_duration
from jan_server.settings.keys import WITHOUT_EFFECT, all_keys, all_variables, find_key, sections
from jan_server.settings.loading import value_of
from jan_server.settings.tree import Settings, plant
from jan_server.settings.tree.fields import Section
from jan_server.settings.tree.follow import followed, template_keys

# What contract configuration.md names, sections 4 to 6: existing installations use these names.
CONTRACT_VARIABLES = Path(__file__).with_name("contract_variables.txt").read_text().split()


def test_settings_need_nothing() -> None:
    settings = Settings()

    assert settings.server.listen_address == "127.0.0.1"
    assert settings.infrastructure.auth.keycloak.issuer == "http://localhost:8085/realms/jan"
    assert settings.infrastructure.auth.keycloak.client == ("jan-client", "jan-admin")
    assert settings.services.llm_api.api_key.max_ttl == timedelta(days=90)
    assert settings.services.llm_api.admin_auth_enabled


def test_no_secret_has_a_default() -> None:
    defaults = {key: setting.default for key, setting in all_keys().items() if setting.secret}

    assert [key for key, default in defaults.items() if default not in (SecretStr(""), {}, ())] == []


def test_every_setting_says_what_it_does() -> None:
    assert [key for key, setting in all_keys().items() if len(setting.description) < 10] == []
    assert [name for name, words in sections().items() if not words] == []


def test_every_variable_of_the_contract_is_understood() -> None:
    understood = {*all_variables(), *WITHOUT_EFFECT}

    assert [name for name in CONTRACT_VARIABLES if name not in understood] == []


def test_every_setting_has_a_strongest_variable_of_its_own() -> None:
    strongest = [setting.variable for setting in all_keys().values()]

    assert [name for name in strongest if strongest.count(name) > 1] == []


def test_a_default_is_what_its_template_makes_of_the_defaults() -> None:
    for key, setting in all_keys().items():
        if setting.follows:
            sources = {name: all_keys()[name].default for name in template_keys(setting.follows)}
            assert str(followed(Settings, sources)[key]) == str(setting.default), key


def test_a_section_is_never_given_other_defaults_by_its_place() -> None:
    def walk(section: type[Section]) -> None:
        for field in section.model_fields.values():
            if isinstance(field.default, Section):
                assert field.default.model_fields_set == set(), field
                walk(type(field.default))

    walk(Settings)


def test_a_default_keeps_its_own_limits() -> None:
    for key, setting in all_keys().items():
        tree: dict[str, Any] = {}
        plant(tree, key, setting.default)
        assert value_of(Settings.model_validate(tree), key) == setting.default, key


def test_addresses_follow_a_moved_port() -> None:
    settings = Settings(identity={"http_port": 9085}, services={"llm_api": {"http_port": 9080}})

    keycloak = settings.infrastructure.auth.keycloak
    assert keycloak.issuer == "http://localhost:9085/realms/jan"
    assert keycloak.jwks_url == "http://127.0.0.1:9085/realms/jan/protocol/openid-connect/certs"
    assert settings.services.response_api.llm_api_url == "http://127.0.0.1:9080"
    assert settings.services.mcp_tools.llm_api_base_url == "http://127.0.0.1:9080"


def test_an_address_that_was_given_follows_nothing() -> None:
    settings = Settings(
        infrastructure={"auth": {"keycloak": {"public_url": "https://id.example.com", "http_port": 9085}}}
    )

    assert settings.infrastructure.auth.keycloak.issuer == "https://id.example.com/realms/jan"
    assert settings.infrastructure.auth.keycloak.base_url == "http://127.0.0.1:9085"


@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("2001:db8::7", "http://[2001:db8::7]:8080"),
    ],
)
def test_services_reach_one_another_wherever_the_server_listens(listen: str, reached: str) -> None:
    assert Settings(server={"listen_address": listen}).services.response_api.llm_api_url == reached


def test_sections_may_be_given_as_objects() -> None:
    moved = Settings(services={"llm_api": {"http_port": 9080}}).services

    assert Settings(services=moved).services.response_api.llm_api_url == "http://127.0.0.1:9080"


def test_one_limit_of_a_route_leaves_the_other_alone() -> None:
    settings = Settings(infrastructure={"gateway": {"rate_limits": {"default": {"minute": 5}}}})

    limit = settings.infrastructure.gateway.rate_limits.default
    assert (limit.minute, limit.hour) == (5, 10_000)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().server.public_host = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("services.llm_api.http_port", 0),
        ("services.llm_api.http_port", 65536),
        ("services.response_api.max_tool_depth", 21),
        ("inference.vllm.gpu_utilization", 1.5),
        ("infrastructure.auth.keycloak.issuer", "localhost:8085"),
        ("infrastructure.auth.keycloak.auth_clock_skew", "-1s"),
        ("infrastructure.auth.keycloak.client", ""),
        ("services.llm_api.http_timeout", 30),
        ("monitoring.otel.headers", "no-pair"),
        ("inference.providers", "not json"),
    ],
)
def test_a_value_outside_its_limits_is_refused(key: str, value: object) -> None:
    tree: dict[str, Any] = {}
    plant(tree, key, value)
    with pytest.raises(ValidationError):
        Settings.model_validate(tree)


def test_structured_values_have_a_text_form() -> None:
    settings = Settings.model_validate(
        {
            "monitoring": {"otel": {"headers": "x-key=abc, x-team=jan"}},
            "inference": {"providers": '[{"name": "a", "url": "http://h/v1", "api_key": "k"}]'},
            "services": {"mcp_tools": {"serper": {"domain_filter": "a.example, b.example,"}}},
        }
    )

    assert settings.monitoring.otel.headers["x-team"].get_secret_value() == "jan"
    assert settings.inference.providers[0].api_key.get_secret_value() == "k"
    assert settings.services.mcp_tools.serper.domain_filter == ("a.example", "b.example")


def test_secrets_do_not_show_in_a_printed_tree() -> None:
    settings = Settings(identity={"header_secret": "do-not-print-me"})

    assert "do-not-print-me" not in repr(settings)
    assert "do-not-print-me" not in settings.model_dump_json()


def test_keys_are_found_however_they_are_spelt() -> None:
    assert find_key("services.llm-api.http-port").key == "services.llm_api.http_port"
    assert find_key("LLM_API_HTTP_PORT").key == "services.llm_api.http_port"
    # A shared name stands for the setting that has it as its own.
    assert find_key("KEYCLOAK_HTTP_PORT").key == "infrastructure.auth.keycloak.http_port"


def test_contract_durations_are_the_defaults() -> None:
    assert Settings().services.llm_api.api_key.default_ttl == parse_duration("2160h")


def test_networks_that_fetches_may_reach_are_networks() -> None:
    allowed = Settings.model_validate({"server": {"fetch_allowed_networks": "10.1.0.0/16, fd00::/8"}})
    assert allowed.server.fetch_allowed_networks == ("10.1.0.0/16", "fd00::/8")
    with pytest.raises(ValidationError, match=r"write it as in 10\.1\.0\.0/16"):
        Settings.model_validate({"server": {"fetch_allowed_networks": ["10.1.2.3/16"]}})
