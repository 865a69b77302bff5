"""Which parts run: profiles, the command line, and what those need."""

from pathlib import Path

import pytest

from jan_server.settings.profiles import Profile, profile_names, read_profile
from jan_server.stack.catalogue import UnknownPartError, names
from jan_server.stack.selection import select


def profile(*services: str) -> Profile:
    return Profile("test", Path("test.yaml"), "", services, {})


def chosen(*profiles: Profile, services: tuple[str, ...] = ()) -> list[str]:
    return [part.name for part in select(profiles, services)]


def test_without_any_choice_everything_runs() -> None:
    assert chosen() == list(names())


def test_profiles_add_up_and_bring_what_they_need() -> None:
    assert chosen(profile("identity"), profile("inference")) == ["postgres", "identity", "inference"]


def test_a_profile_that_names_no_services_adds_none() -> None:
    assert chosen(profile(), profile("postgres")) == ["postgres"]


def test_the_command_line_wins_over_profiles() -> None:
    assert chosen(profile("gateway"), services=("postgres",)) == ["postgres"]


def test_an_unknown_service_is_refused() -> None:
    with pytest.raises(UnknownPartError, match="did you mean identity"):
        chosen(services=("identiy",))


@pytest.mark.parametrize("name", profile_names())
def test_profiles_that_ship_name_only_known_services(name: str) -> None:
    assert select([read_profile(name)])
