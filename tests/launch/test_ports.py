"""Ports are checked before anything starts."""

import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from jan_server.launch.ports import WantedPort, bind, check, holder


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_busy_port_is_named_with_its_service_setting_and_holder(taken: int) -> None:
    [busy] = check([WantedPort("gateway", "127.0.0.1", taken, "infrastructure.gateway.kong.http_port")])
    name = psutil.Process().name()
    assert str(busy) == (
        f"Port {taken} of gateway (infrastructure.gateway.kong.http_port): held by {name} (pid {os.getpid()})"
    )


def test_all_busy_ports_are_told_at_once(taken: int) -> None:
    wanted = [WantedPort(service, "127.0.0.1", taken, "key") for service in ("a", "b")]
    assert [str(port) for port in check(wanted)][1].endswith("a wants it too")


def test_an_address_of_another_machine_is_refused() -> None:
    [busy] = check([WantedPort("gateway", "192.0.2.1", 18999, "key")])
    assert "assign" in busy.reason


def test_a_bound_socket_refuses_callers_until_it_listens() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        bound.listen()
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_a_port_that_nobody_holds_has_no_named_holder() -> None:
    assert holder(1) == "another process"
