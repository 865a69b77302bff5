"""The settings of the server process: where it listens, how it logs and how it stops."""

from __future__ import annotations

import socket
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator

from jan_server.settings.tree.fields import Duration, LogLevel, Section, TextList, setting


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        try:
            ip_network(text)
        except ValueError as failure:
            raise ValueError(f"not a network: {failure} (write it as in 10.1.0.0/16)") from failure
    return value


NetworkList = Annotated[TextList, AfterValidator(_networks)]
"""Networks, each an address and the length of its prefix."""


def _bindable(value: str) -> str:
    try:
        # An address needs no asking, a name does.
        socket.getaddrinfo(value, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ValueError(
            "must be an IP address of this machine, or a host name that can be resolved"
        ) from None
    return value


ListenAddress = Annotated[str, AfterValidator(_bindable)]
"""An address that listeners can bind, or a name that stands for one."""


class ServerLogs(Section):
    """The log files in the home folder: one a service, one JSON object a line."""

    level: LogLevel = setting(
        "info", "How much is logged by parts that have no level of their own.", "JAN_LOG_LEVEL", "LOG_LEVEL"
    )
    file_size_mb: int = setting(
        10, "Size in megabytes at which a log file is put aside.", "JAN_LOG_FILE_SIZE_MB", ge=1
    )
    files_kept: int = setting(
        5, "How many files of a service stay aside before the oldest is removed.", "JAN_LOG_FILES_KEPT", ge=0
    )


class Server(Section):
    """The server process."""

    listen_address: ListenAddress = setting(
        "127.0.0.1",
        "Address that the listeners bind; 0.0.0.0 opens them to the network.",
        "JAN_LISTEN_ADDRESS",
        min_length=1,
    )
    public_host: str = setting(
        "localhost",
        "Host name under which clients reach this machine; it stands in printed addresses and in the issuer.",
        "JAN_PUBLIC_HOST",
        pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$",
    )
    drain_timeout: Duration = setting(
        timedelta(seconds=10),
        "How long open requests may still run when the server stops.",
        "SHUTDOWN_TIMEOUT",
    )
    request_head_timeout: Duration = setting(
        timedelta(seconds=30),
        "How long a client may take to send the head of a request.",
        "JAN_REQUEST_HEAD_TIMEOUT",
        gt=timedelta(0),
    )
    request_body_timeout: Duration = setting(
        timedelta(seconds=60),
        "How long a client may be silent in the middle of a body.",
        "JAN_REQUEST_BODY_TIMEOUT",
        gt=timedelta(0),
    )
    fetch_allowed_networks: NetworkList = setting(
        (),
        "Networks of this site that addresses given by users may lead to, as in 10.1.0.0/16; without any, "
        "only the public internet is fetched from.",
        "JAN_FETCH_ALLOWED_NETWORKS",
    )
    logs: ServerLogs = ServerLogs()
