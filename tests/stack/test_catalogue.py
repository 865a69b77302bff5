"""The catalogue: what it says about the parts is true."""

import importlib

import pytest

from jan_server.database.migrate import known_schemas
from jan_server.settings.loading import value_of
from jan_server.settings.tree import Settings
from jan_server.stack.catalogue import PARTS, UnknownPartError, find, names
from jan_server.stack.order import start_order
from jan_server.stack.service import Part, Service

SERVICES = [part for part in PARTS if isinstance(part, Service)]


def name_of(part: Part) -> str:
    return part.name


def test_every_part_has_a_name_of_its_own() -> None:
    assert len(set(names())) == len(names())


@pytest.mark.parametrize("part", PARTS, ids=name_of)
def test_a_part_needs_only_what_is_in_the_catalogue(part: Part) -> None:
    assert set(part.needs) <= set(names())


@pytest.mark.parametrize("part", PARTS, ids=name_of)
def test_settings_keys_exist(part: Part) -> None:
    assert value_of(Settings(), part.settings) is not None
    if part.port_setting is not None:
        assert 1 <= value_of(Settings(), part.port_setting) <= 65535


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_the_log_level_is_a_setting(service: Service) -> None:
    assert service.log_setting is None or value_of(Settings(), service.log_setting) == "info"


def test_no_two_parts_have_the_same_default_port() -> None:
    ports = [value_of(Settings(), part.port_setting) for part in PARTS if part.port_setting is not None]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_the_app_factory_exists(service: Service) -> None:
    module, _, function = service.app.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_an_owned_schema_has_migrations(service: Service) -> None:
    assert service.schema is None or service.schema in known_schemas()


def test_the_whole_catalogue_can_start() -> None:
    assert sorted(start_order(PARTS)) == sorted(names())


def test_a_misspelt_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownPartError, match="did you mean gateway"):
        find("gatway")
    with pytest.raises(UnknownPartError, match="there are postgres"):
        find("xyz")
