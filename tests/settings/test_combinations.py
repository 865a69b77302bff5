"""Settings that cannot work together are refused, and the key to change is named."""

from typing import Any

import pytest

from jan_server.settings.combinations import doubtful, impossible
from jan_server.settings.tree import Settings


def test_the_defaults_go_together() -> None:
    assert impossible(Settings()) == []
    assert doubtful(Settings()) == []


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"inference": {"provider": "remote"}}, "inference.remote.url"),
        (
            {"inference": {"provider": "remote", "remote": {"url": "http://h/v1", "enabled": False}}},
            "inference.remote.enabled",
        ),
        ({"inference": {"llamacpp": {"slots": 64, "context_size": 8192}}}, "inference.llamacpp.context_size"),
        ({"inference": {"providers": [{"name": "a"}]}}, "inference.providers"),
        (
            {
                "inference": {
                    "providers": [{"name": "a", "url": "http://h"}, {"name": "a", "url": "http://i"}]
                }
            },
            "inference.providers",
        ),
        ({"services": {"mcp_tools": {"search_engine": "exa"}}}, "services.mcp_tools.exa_api_key"),
        ({"services": {"mcp_tools": {"tavily_enabled": True}}}, "services.mcp_tools.tavily_api_key"),
        (
            {"services": {"mcp_tools": {"search_engine": "searxng", "searxng_url": ""}}},
            "services.mcp_tools.searxng_url",
        ),
        (
            {
                "services": {
                    "media_api": {"storage_backend": "s3", "s3": {"access_key": "a", "secret_key": "b"}}
                }
            },
            "services.media_api.s3.endpoint",
        ),
        ({"infrastructure": {"database": {"url": "sqlite:///x"}}}, "infrastructure.database.url"),
        (
            {"infrastructure": {"database": {"postgres": {"max_idle_conns": 20}}}},
            "infrastructure.database.postgres.max_idle_conns",
        ),
        (
            {"services": {"llm_api": {"api_key": {"default_ttl": "48h", "max_ttl": "24h"}}}},
            "services.llm_api.api_key.default_ttl",
        ),
        (
            {"services": {"llm_api": {"api_key": {"default_ttl": "0"}}}},
            "services.llm_api.api_key.default_ttl",
        ),
        ({"services": {"llm_api": {"http_port": 8000}}}, "services.llm_api.http_port"),
        ({"inference": {"llamacpp": {"port": 8080}}}, "inference.llamacpp.port"),
        (
            {"meta": {"environment": "production"}, "identity": {"application_admin_password": "short"}},
            "identity.application_admin_password",
        ),
        (
            {"meta": {"environment": "production"}, "services": {"llm_api": {"admin_auth_enabled": False}}},
            "services.llm_api.admin_auth_enabled",
        ),
    ],
)
def test_one_impossible_combination_is_one_problem_with_its_key(tree: dict[str, Any], key: str) -> None:
    assert [problem.key for problem in impossible(Settings.model_validate(tree))] == [key]


def test_a_search_engine_without_a_key_is_fine_offline() -> None:
    tools = {"search_engine": "serper", "serper": {"offline_mode": True}}

    assert impossible(Settings(services={"mcp_tools": tools})) == []


def test_media_that_are_off_need_no_storage() -> None:
    assert impossible(Settings(services={"media_api": {"enabled": False, "storage_backend": "s3"}})) == []


@pytest.mark.parametrize(
    ("tree", "word"),
    [
        ({"services": {"llm_api": {"admin_auth_enabled": False}}}, "admin_auth_enabled"),
        (
            {
                "server": {"listen_address": "0.0.0.0"},
                "infrastructure": {"gateway": {"rate_limits_enabled": False}},
            },
            "rate_limits_enabled",
        ),
        (
            {"services": {"llm_api": {"prompt_orchestration": {"enable_memory": True}}}},
            "enable_memory",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(tree: dict[str, Any], word: str) -> None:
    (warning,) = doubtful(Settings.model_validate(tree))

    assert word in warning
