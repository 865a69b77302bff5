"""The settings of the server process: where it listens and how it stops."""

from __future__ import annotations

from datetime import timedelta

from jan_server.settings.tree.fields import Duration, Section, setting


class Server(Section):
    """The server process."""

    listen_address: str = setting(
        "127.0.0.1",
        "Address that the listeners bind; 0.0.0.0 opens them to the network.",
        "JAN_LISTEN_ADDRESS",
        min_length=1,
    )
    public_host: str = setting(
        "localhost",
        "Host name under which clients reach this machine; it stands in printed addresses and in the issuer.",
        "JAN_PUBLIC_HOST",
        min_length=1,
    )
    drain_timeout: Duration = setting(
        timedelta(seconds=10),
        "How long open requests may still run when the server stops.",
        "SHUTDOWN_TIMEOUT",
    )
