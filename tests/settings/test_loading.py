"""Loading: which source wins, where a value came from, and what is refused with which words."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jan_server.settings.errors import SettingsError
from jan_server.settings.home import JanHome
from jan_server.settings.loading import load_settings

PORT = "services.llm_api.http_port"
SOURCES = ("profile", "jan.yaml", ".env", "environment", "flag")

FilledHome = Callable[..., JanHome]


def problems(home: JanHome, **options: Any) -> list[str]:
    """The problems that loading names, as an operator reads them."""
    with pytest.raises(SettingsError) as caught:
        load_settings(home, environ=options.pop("environ", {}), **options)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_home_gives_the_defaults(home: JanHome) -> None:
    loaded = load_settings(home, environ={})

    assert loaded.settings.services.llm_api.http_port == 8080
    assert loaded.provenance[PORT].source == "default"
    assert [profile.name for profile in loaded.profiles] == ["local"]
    assert not home.root.exists()


@pytest.mark.parametrize("present", [set(c) for n in range(6) for c in combinations(SOURCES, n)])
def test_the_strongest_source_wins_and_names_what_it_overrode(
    filled_home: FilledHome, present: set[str]
) -> None:
    ports = {source: 9001 + number for number, source in enumerate(SOURCES)}

    def when(source: str, text: str) -> str:
        return text if source in present else ""

    home = filled_home(
        config=when("jan.yaml", f"services:\n  llm-api:\n    http-port: {ports['jan.yaml']}\n"),
        env=when(".env", f"HTTP_PORT={ports['.env']}\n"),
        profiles={
            "mine": "settings:\n"
            + when("profile", f"  services: {{llm_api: {{http_port: {ports['profile']}}}}}\n")
        },
    )
    loaded = load_settings(
        home,
        ["mine"],
        {PORT: ports["flag"]} if "flag" in present else {},
        {"HTTP_PORT": str(ports["environment"])} if "environment" in present else {},
    )

    told = {
        "profile": "profile mine line 2",
        "jan.yaml": "jan.yaml line 3",
        ".env": ".env line 1 (HTTP_PORT)",
        "environment": "variable HTTP_PORT",
        "flag": "command line",
    }
    strongest_first = [source for source in reversed(SOURCES) if source in present]
    origin = loaded.provenance[PORT]
    assert loaded.settings.services.llm_api.http_port == (
        ports[strongest_first[0]] if strongest_first else 8080
    )
    assert [origin.source, *(earlier.source for earlier in origin.overrode)] == [
        *(told[source] for source in strongest_first),
        "default",
    ]


def test_within_one_source_the_specific_name_wins(home: JanHome) -> None:
    loaded = load_settings(home, environ={"LOG_LEVEL": "error", "LLM_API_LOG_LEVEL": "debug"})

    assert loaded.settings.services.llm_api.log_level == "debug"
    assert loaded.settings.services.realtime_api.log_level == "error"
    overrode = loaded.provenance["services.llm_api.log_level"].overrode
    assert overrode[0].source == "variable LOG_LEVEL"


def test_an_empty_variable_counts_as_not_set(filled_home: FilledHome) -> None:
    home = filled_home(env="HTTP_PORT=9000\nLOG_LEVEL=\n")

    assert load_settings(home, environ={"HTTP_PORT": ""}).settings.services.llm_api.http_port == 9000


def test_a_weaker_source_can_be_overruled_with_false_and_empty(filled_home: FilledHome) -> None:
    home = filled_home(
        config="services: {llm_api: {auto_migrate: false}}\nidentity: {login_limit: {attempts: 0}}\n"
    )
    settings = load_settings(home, environ={}).settings

    assert not settings.services.llm_api.auto_migrate
    assert settings.identity.login_limit.attempts == 0


def test_a_list_replaces_the_weaker_list(filled_home: FilledHome) -> None:
    home = filled_home(config="infrastructure: {auth: {keycloak: {client: [a, b, c]}}}\n")

    assert load_settings(home, environ={"CLIENT": "x,y"}).settings.infrastructure.auth.keycloak.client == (
        "x",
        "y",
    )


def test_the_switches_that_turn_a_check_off_win_over_the_one_that_turns_it_on(home: JanHome) -> None:
    both = {"ENABLE_ADMIN_AUTH": "true", "DISABLE_ADMIN_AUTH": "1"}

    assert not load_settings(home, environ=both).settings.services.llm_api.admin_auth_enabled
    kept = load_settings(home, environ={"ADMIN_BYPASS": "false"}).settings
    assert kept.services.llm_api.admin_auth_enabled


def test_every_key_has_a_long_variable(home: JanHome) -> None:
    name = "JAN__INFRASTRUCTURE__GATEWAY__RATE_LIMITS__LLM_API_V1__MINUTE"
    loaded = load_settings(home, environ={name: "7"})

    assert loaded.settings.infrastructure.gateway.rate_limits.llm_api_v1.minute == 7


def test_a_value_that_follows_says_which_it_follows(home: JanHome) -> None:
    loaded = load_settings(home, environ={"KEYCLOAK_HTTP_PORT": "9085"})

    origin = loaded.provenance["infrastructure.auth.keycloak.base_url"]
    assert origin.value == "http://127.0.0.1:9085"
    assert origin.source == "follows identity.http_port"
    assert origin.overrode[0].value == "http://127.0.0.1:8085"


def test_profiles_add_up_and_the_later_one_wins(filled_home: FilledHome) -> None:
    home = filled_home(
        profiles={
            "one": "services: [llm-api]\nsettings: {server: {public_host: one, drain_timeout: 3s}}\n",
            "two": "services: [gateway]\nsettings: {server: {public_host: two}}\n",
        }
    )
    loaded = load_settings(home, ["one", "two"], environ={})

    assert loaded.settings.server.public_host == "two"
    assert loaded.provenance["server.drain_timeout"].source == "profile one line 2"
    assert [profile.services for profile in loaded.profiles] == [("llm-api",), ("gateway",)]
    assert loaded.settings.meta.profiles == ("one", "two")


def test_the_configuration_names_the_profiles_when_the_command_line_does_not(filled_home: FilledHome) -> None:
    home = filled_home(config="meta: {profiles: [monitoring, local]}\n")

    assert [profile.name for profile in load_settings(home, environ={}).profiles] == ["monitoring", "local"]
    assert [profile.name for profile in load_settings(home, ["local"], environ={}).profiles] == ["local"]
    by_variable = load_settings(home, environ={"JAN_PROFILES": "local, monitoring"})
    assert [profile.name for profile in by_variable.profiles] == ["local", "monitoring"]


def test_texts_take_variables_from_the_environment_then_from_env_file(filled_home: FilledHome) -> None:
    home = filled_home(
        config="inference:\n  providers:\n    - name: a\n      url: http://${HOST_A}/v1\n"
        "      api_key: ${KEY_A:-none}\n      description: ${TITLE}\n",
        env="HOST_A=from-file.example\nTITLE=file\n",
    )
    provider = load_settings(home, environ={"TITLE": "environment"}).settings.inference.providers[0]

    assert provider.url == "http://from-file.example/v1"
    assert provider.api_key.get_secret_value() == "none"
    assert provider.description == "environment"


def test_a_reference_to_a_variable_that_is_not_set_is_named(filled_home: FilledHome) -> None:
    home = filled_home(config="server:\n  public_host: ${NOWHERE}\n")

    assert problems(home) == [
        "server.public_host (jan.yaml line 2): refers to the variable NOWHERE, which is not set"
    ]


def test_unknown_keys_and_variables_name_the_nearest(filled_home: FilledHome) -> None:
    home = filled_home(
        config="services:\n  llm_api:\n    htpp_port: 1\nidentiy: {}\n",
        env="JAN_ADMIN_PASWORD=x\n",
        profiles={"odd": "settings:\n  inference:\n    provder: remote\n"},
    )

    assert problems(
        home, profiles=["odd"], environ={"JAN_LISTEN_ADRESS": "::1"}, flags={"server.host": 1}
    ) == [
        "inference.provder (profile odd line 3): unknown key; did you mean inference.provider?",
        "services.llm_api.htpp_port (jan.yaml line 3): unknown key; did you mean services.llm_api.http_port?",
        "identiy (jan.yaml line 4): unknown key; did you mean identity?",
        "JAN_ADMIN_PASWORD (.env line 1): unknown variable; did you mean JAN_ADMIN_PASSWORD?",
        "JAN_LISTEN_ADRESS (environment): unknown variable; did you mean JAN_LISTEN_ADDRESS?",
        "server.host (command line): unknown key; did you mean server.public_host?",
    ]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"HTTP_PORT": "x1"},
            "services.llm_api.http_port (variable HTTP_PORT): must be a whole number, but it is 'x1'",
        ),
        ({"AUTO_MIGRATE": "maybe"}, "must be true or false, but it is 'maybe'"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "must be less than or equal to 1, but it is '2'"),
        (
            {"API_KEY_MAX_TTL": "90d"},
            "not a duration: '90d' (write a number and a unit, as in 30s, 5m or 2160h)",
        ),
        ({"POSTGRES_SSL_MODE": "verify_ca"}, "did you mean verify-ca?"),
        ({"MEDIA_RESOLVE_URL": "media:8285"}, "it must look like http://host or https://host"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(home: JanHome, environ: dict[str, str], said: str) -> None:
    (problem,) = problems(home, environ=environ)

    assert said in problem
    assert f"variable {next(iter(environ))}" in problem


def test_a_wrong_secret_is_not_repeated(home: JanHome) -> None:
    (problem,) = problems(home, environ={"DATABASE_URL": "mysql://user:hunter2@host/db"})

    assert problem == "infrastructure.database.url (variable DATABASE_URL): must begin with postgresql://"


def test_a_wrong_value_in_yaml_names_its_line(filled_home: FilledHome) -> None:
    home = filled_home(config="server:\n  # where\n  public_host: [a]\n  drain_timeout: 10\n")

    first, second = problems(home)
    assert first.startswith("server.public_host (jan.yaml line 3): must be text")
    assert second.startswith("server.drain_timeout (jan.yaml line 4): not a duration: 10")


def test_a_value_that_follows_from_a_wrong_one_is_not_blamed(home: JanHome) -> None:
    assert problems(home, environ={"JAN_PUBLIC_HOST": "http://"}) == [
        "server.public_host (variable JAN_PUBLIC_HOST): is not of the right form, but it is 'http://'"
    ]


def test_broken_files_are_named(filled_home: FilledHome) -> None:
    assert "(jan.yaml line 3): is not valid YAML" in problems(filled_home(config="server:\n  a: [\n"))[0]
    assert "stands there twice" in problems(filled_home(config="server: {}\nserver: {}\n"))[0]
    assert "must hold names and values" in problems(filled_home(config="- a\n"))[0]
    assert "a section and cannot have a value" in problems(filled_home(config="server: 3\n"))[0]
    assert problems(filled_home(env="# fine\n\nnot a line\n")) == [
        "not a line (.env line 3): is not of the form NAME=value"
    ]


def test_an_unknown_profile_names_the_nearest(home: JanHome) -> None:
    (problem,) = problems(home, profiles=["locl"])

    assert "did you mean local?" in problem
    assert "there is no profile" in problems(home, profiles=["../local"])[0]


def test_what_has_no_effect_is_a_warning(filled_home: FilledHome) -> None:
    home = filled_home(
        config="infrastructure: {database: {postgres: {password: in-the-open}}}\n",
        env="COMPOSE_PROFILES=infra\nSERPER_API_KY=abc\nSOMETHING_ELSE=1\n",
    )
    warnings = "\n".join(load_settings(home, environ={}).warnings)

    assert "COMPOSE_PROFILES" in warnings
    assert "did you mean SERPER_API_KEY?" in warnings
    assert "it belongs into .env as POSTGRES_PASSWORD" in warnings
    assert "SOMETHING_ELSE" not in warnings


@given(
    name=st.sampled_from(["MEDIA_S3_BUCKET", "KEYCLOAK_REALM", "POSTGRES_PASSWORD"]),
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
def test_any_text_in_the_environment_reaches_the_setting(name: str, value: str) -> None:
    from jan_server.settings.keys import find_key

    loaded = load_settings(Path("/nonexistent"), environ={name: value})
    found = loaded.provenance[find_key(name).key].value
    assert (found.get_secret_value() if hasattr(found, "get_secret_value") else found) == value
