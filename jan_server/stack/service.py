"""What the stack is made of: the record of a service and the record of a child process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """A service that runs as an ASGI app inside the server process.

    Attributes:
        name: What users, logs and profiles call it.
        description: One line for people.
        settings: The key of its section in the settings tree.
        port_setting: The key of the setting that holds its port.
        health_path: Answers 200 once the service can be used.
        app: Its app factory as `module:function`; imported only when it starts.
        needs: The names of the parts that must be ready before it starts.
        log_setting: The key of the setting that holds its log level, or None when it has none of its own.
        schema: The PostgreSQL schema that it owns, or None.
        public: Whether users call it directly, so that its address is printed.
        websockets: Whether its listener speaks WebSocket.
        fronts: Whether it stands before the others: its factory also takes their apps by name, so that
            it calls them without a socket.
    """

    name: str
    description: str
    settings: str
    port_setting: str
    health_path: str
    app: str
    needs: tuple[str, ...] = ()
    log_setting: str | None = None
    schema: str | None = None
    public: bool = False
    websockets: bool = False
    fronts: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A program that the server starts and supervises as a child process.

    Attributes:
        name: What users, logs and profiles call it.
        description: One line for people.
        settings: The key of its section in the settings tree.
        needs: The names of the parts that must be ready before it starts.
        port_setting: The key of the setting that holds its port, or None when it has none.
        health_path: Answers 200 once the program can be used, or None when it speaks no HTTP.
    """

    name: str
    description: str
    settings: str
    needs: tuple[str, ...] = ()
    port_setting: str | None = None
    health_path: str | None = None


Part = Service | Child
"""Anything that the stack is made of."""
