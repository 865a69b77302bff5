"""Ports: taken before anything starts, so that a busy one is named at once with whoever holds it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that a part of the stack will listen on.

    Attributes:
        service: The part.
        host: The address to bind.
        port: The port.
        setting: The key of the setting that says so.
    """

    service: str
    host: str
    port: int
    setting: str


@dataclass(frozen=True, slots=True)
class BusyPort:
    """A wanted port that cannot be had.

    Attributes:
        wanted: The port.
        reason: Why: who holds it, or what the system said.
    """

    wanted: WantedPort
    reason: str

    def __str__(self) -> str:
        wanted = self.wanted
        return f"Port {wanted.port} of {wanted.service} ({wanted.setting}): {self.reason}"


class PortsBusyError(RuntimeError):
    """Wanted ports that cannot be had, all of them at once."""

    def __init__(self, busy: list[BusyPort]) -> None:
        super().__init__("\n".join(str(port) for port in busy))
        self.busy = busy


def check(wanted: list[WantedPort]) -> list[BusyPort]:
    """Which of the ports cannot be had; also two parts that want the same one."""
    busy: list[BusyPort] = []
    owners: dict[int, str] = {}
    for port in wanted:
        if port.port in owners:
            busy.append(BusyPort(port, f"{owners[port.port]} wants it too"))
            continue
        owners[port.port] = port.service
        try:
            bind(port.host, port.port).close()
        except OSError as error:
            busy.append(BusyPort(port, _reason(port.port, error)))
    return busy


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet, so early callers are refused, not kept waiting.

    Raises:
        OSError: The port is taken, or the address is not one of this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def holder(port: int) -> str:
    """The process that has a port, as `name (pid N)`, or "another process" when it is hidden.

    Usually it listens there; an outgoing connection may have been given the number as well.
    """
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return "another process"
    there = [found for found in connections if found.laddr and found.laddr.port == port]
    there.sort(key=lambda found: found.status != psutil.CONN_LISTEN)
    for connection in there:
        if connection.pid is None:
            continue
        try:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
        except psutil.Error:
            return f"pid {connection.pid}"
    return "another process"


def _reason(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"held by {holder(port)}"
    if error.errno == errno.EACCES:
        return "the system does not let this user bind it"
    return error.strerror or str(error)
