"""The profiles that ship, and those of the operator."""

from collections.abc import Callable

import pytest

from jan_server.settings.errors import SettingsError
from jan_server.settings.home import JanHome
from jan_server.settings.loading import load_settings
from jan_server.settings.profiles import profile_names, read_profile
from jan_server.stack.catalogue import names


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_names_parts_that_exist(name: str) -> None:
    profile = read_profile(name)

    assert profile.description.endswith(".")
    assert set(profile.services) <= set(names())


@pytest.mark.parametrize("name", [name for name in profile_names() if name != "remote"])
def test_every_profile_that_ships_loads_alone(home: JanHome, name: str) -> None:
    load_settings(home, [name], environ={})


def test_the_remote_profile_asks_for_the_address(home: JanHome) -> None:
    with pytest.raises(SettingsError, match=r"inference\.remote\.url.* is needed"):
        load_settings(home, ["remote"], environ={})

    loaded = load_settings(
        home, ["remote"], environ={"REMOTE_LLM_PROVIDER_URL": "https://api.example.com/v1"}
    )
    assert loaded.settings.inference.provider == "remote"
    assert "inference" not in loaded.profiles[0].services


def test_the_issue_names_these_profiles() -> None:
    assert {"local", "remote", "full", "vllm-gpu", "vllm-cpu", "monitoring"} <= set(profile_names())


def test_a_profile_of_the_operator_wins_over_the_one_that_ships(
    filled_home: Callable[..., JanHome],
) -> None:
    home = filled_home(profiles={"local": "description: mine\n", "office": "services: [gateway]\n"})

    assert read_profile("local", home.root).description == "mine"
    assert "office" in profile_names(home.root)
    assert "office" not in profile_names()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servces: []\n", "did you mean services"),
        ("services: gateway\n", "must be a list of names"),
        ("settings: [a]\n", "must be a part of the settings tree"),
        ("description: [a]\n", "must be text"),
    ],
)
def test_a_wrong_profile_is_refused(filled_home: Callable[..., JanHome], text: str, said: str) -> None:
    home = filled_home(profiles={"odd": text})

    with pytest.raises(SettingsError, match=said):
        read_profile("odd", home.root)
