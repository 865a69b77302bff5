"""The embedded database: made once, and usable again after every kind of accident."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from jan_server.launch import postgres
from jan_server.launch.children import ChildFailedError, ChildNotes, SupervisedChild
from jan_server.launch.database import DATA_FOLDER
from jan_server.launch.diagnosis.finding import Level
from jan_server.launch.diagnosis.installation import passage
from jan_server.launch.postgres import EmbeddedPostgres, PostgresError, read_log_line
from jan_server.launch.state import Phase
from jan_server.settings.home import JanHome
from jan_server.settings.tree import Settings
from jan_server.telemetry.logs import LogSink
from tests.running_stack import copy_folder, own_folder
from tests.waiting import until


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


class Running:
    """A database server under supervision, with what it reported."""

    def __init__(self, home: Path, sink: LogSink) -> None:
        self.postgres = EmbeddedPostgres(home / "data/postgres", user="jan_user", database="jan")
        self.reports: list[tuple[Phase, str, int]] = []
        self.child = SupervisedChild(
            self.postgres.program(),
            ChildNotes(home),
            sink,
            lambda phase, detail, pid, _: self.reports.append((phase, detail, pid)),
        )

    async def start(self) -> None:
        await self.child.start()
        self.postgres.ensure_database()

    def pid(self) -> int:
        return next(pid for phase, _, pid in reversed(self.reports) if phase is Phase.READY)

    def run(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for one home."""
    with own_folder() as folder:
        yield folder


@pytest.fixture
async def server(place: Path, sink: LogSink, home_template: Path) -> AsyncIterator[Callable[[], Running]]:
    """Makes servers of one home, all of which are stopped at the end."""
    copy_folder(home_template / DATA_FOLDER, place / "data/postgres")
    made: list[Running] = []

    def make() -> Running:
        made.append(Running(place, sink))
        return made[-1]

    yield make
    for running in made:
        await running.child.stop()


async def test_services_get_a_role_of_their_own_and_pgvector(server) -> None:
    running = server()
    await running.start()
    assert running.run("select current_user::text, current_database()::text") == [("jan_user", "jan")]
    assert running.run("select rolsuper from pg_roles where rolname = current_user") == [(False,)]
    assert running.run("select '[1,2]'::vector <-> '[1,3]'::vector") == [(1.0,)]


async def test_it_listens_on_a_private_socket_alone(server) -> None:
    running = server()
    await running.start()
    assert running.run("show listen_addresses") == [("",)]
    assert running.postgres.socket_folder.stat().st_mode & 0o077 == 0


async def test_a_killed_database_comes_back_with_every_committed_row(server) -> None:
    running = server()
    await running.start()
    running.run("create table kept (n int)")
    running.run("insert into kept select generate_series(1, 1000)")
    killed = running.pid()
    os.kill(killed, signal.SIGKILL)
    await until(lambda: running.pid() != killed)
    assert running.run("select count(*) from kept") == [(1000,)]


async def test_files_with_somebody_elses_number_are_no_hindrance(server) -> None:
    running = server()
    await running.start()
    files = [running.postgres.data / name for name in ("postmaster.pid", ".s.PGSQL.5432.lock")]
    stale = [file.read_text().splitlines() for file in files]
    await running.child.stop()
    # As after a restart of the machine: the number now belongs to a process that lives.
    for file, lines in zip(files, stale, strict=True):
        file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    again = server()
    await again.start()
    assert again.run("select 1") == [(1,)]


async def test_a_server_that_was_left_running_is_ended_first(server) -> None:
    left = server()
    await left.start()
    left.run("create table kept as select 1 as n")
    survivor = psutil.Process(left.pid())
    again = server()
    await again.start()
    assert again.run("select n from kept") == [(1,)]
    assert again.pid() != survivor.pid


async def test_a_first_start_that_was_cut_off_is_begun_anew(server) -> None:
    running = server()
    data = running.postgres.data
    half = data.with_name("postgres.new")
    data.rename(half)
    (half / "PG_VERSION").unlink()
    await running.start()
    assert running.run("select 1") == [(1,)]
    assert not half.exists()


async def test_a_folder_with_something_else_in_it_is_left_alone(server) -> None:
    running = server()
    shutil.rmtree(running.postgres.data)
    running.postgres.data.mkdir()
    (running.postgres.data / "thesis.txt").write_text("years of work")
    with pytest.raises(ChildFailedError, match="is not a database folder"):
        await running.start()
    assert (running.postgres.data / "thesis.txt").exists()


async def test_data_of_another_version_are_left_alone(server) -> None:
    running = server()
    (running.postgres.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(ChildFailedError, match="holds data of PostgreSQL 17"):
        await running.start()


async def test_a_home_with_a_long_path_gets_its_socket_elsewhere(
    place: Path, sink: LogSink, home_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_SOCKET_ROOT", place)
    home = place / ("long" * 30)
    copy_folder(home_template / DATA_FOLDER, home / "data/postgres")
    running = Running(home, sink)
    await running.start()
    assert running.run("select 1") == [(1,)]
    assert running.postgres.socket_folder.parent == place
    await running.child.stop()


def test_every_session_of_a_user_finds_the_socket_of_a_long_path(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path("/somewhere") / ("long" * 30)
    found = set()
    for session in ("/run/user/1000", "/elsewhere"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", session)
        monkeypatch.setenv("TMPDIR", session)
        found.add(postgres.socket_folder(data))
    assert len(found) == 1
    assert str(os.geteuid()) in found.pop().name
    assert postgres.socket_folder(data / "other") not in found


def test_a_socket_folder_that_others_prepared_is_refused(
    place: Path, home_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_SOCKET_ROOT", place)
    home = place / ("long" * 30)
    copy_folder(home_template / DATA_FOLDER, home / "postgres")
    server = EmbeddedPostgres(home / "postgres", user="jan_user", database="jan")
    server.socket_folder.mkdir()
    server.socket_folder.chmod(0o777)
    with pytest.raises(PostgresError, match="belongs to somebody else"):
        server.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database as somebody else")
async def test_root_lets_the_database_user_pass_but_not_look(
    server, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_mode(place, 0o700)
    running = server()
    home = JanHome(running.postgres.data.parents[1])
    warned = [finding for finding in passage(Settings(), home) if finding.level is Level.WARNING]
    assert str(place) in warned[0].message
    await running.start()
    assert mode(place) == 0o701
    assert f"{place}: other users may pass it now" in caplog.text
    noted = [finding for finding in passage(Settings(), home) if finding.level is Level.NOTE]
    assert str(place) in noted[0].message
    assert psutil.Process(running.pid()).uids().real != 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("LOG:  database system is ready", ("info", "database system is ready")),
        ("ERROR:  relation does not exist", ("error", "relation does not exist")),
        ("FATAL:  no", ("critical", "no")),
        ("something: else", ("info", "something: else")),
    ],
)
def test_log_lines_keep_their_level(line: str, expected: tuple[str, str]) -> None:
    assert read_log_line(line) == expected
