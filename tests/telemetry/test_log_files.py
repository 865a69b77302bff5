"""Log files: rotated by size, read backwards across rotations, followed across them."""

import threading
from pathlib import Path

from jan_server.telemetry.log_files import (
    LogEntry,
    LogFile,
    Rotation,
    follow,
    log_path,
    parse_entry,
    tail,
    utc_now,
)
from tests.waiting import wait_until


def line(number: int) -> bytes:
    return b'{"message":"%d","time":"%s"}\n' % (number, utc_now(number).encode())


def messages(entries: list[LogEntry]) -> list[str]:
    return [entry.message for entry in entries]


def test_files_rotate_and_the_oldest_goes(tmp_path: Path) -> None:
    file = LogFile(log_path(tmp_path, "x"), Rotation(max_bytes=len(line(1)) * 2, keep=2))
    for number in range(9):
        file.append(line(number))
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert messages(tail(tmp_path, "x", 99)) == ["4", "5", "6", "7", "8"]
    assert messages(tail(tmp_path, "x", 2)) == ["7", "8"]
    assert tail(tmp_path, "x", 0) == []


def test_nothing_is_kept_aside_when_so_told(tmp_path: Path) -> None:
    file = LogFile(log_path(tmp_path, "x"), Rotation(max_bytes=1, keep=0))
    file.append(line(1))
    file.append(line(2))
    file.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.log"]
    assert messages(tail(tmp_path, "x", 9)) == ["2"]


def test_a_file_is_continued_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2):
        file = LogFile(log_path(tmp_path, "x"), Rotation())
        file.append(line(number))
        file.close()
    assert messages(tail(tmp_path, "x", 9)) == ["1", "2"]


def test_a_line_that_is_no_json_is_shown_as_it_is() -> None:
    entry = parse_entry("x", b"plain words")
    assert (entry.message, entry.level, entry.time) == ("plain words", "info", "")


def test_following_survives_rotation_and_a_file_that_comes_later(tmp_path: Path) -> None:
    old = LogFile(log_path(tmp_path, "old"), Rotation(max_bytes=len(line(1)) * 3, keep=3))
    old.append(line(100))
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        seen.extend(entry.message for entry in follow(tmp_path, ["old", "new"], stop))

    thread = threading.Thread(target=watch)
    thread.start()
    # What was there before is not shown; the first new line may come before the watcher looks.
    number = 101
    while not seen:
        old.append(line(number))
        number += 1
    for later in range(number, number + 5):
        old.append(line(later))
        wait_until(lambda later=later: str(later) in seen)
    new = LogFile(log_path(tmp_path, "new"), Rotation())
    new.append(line(200))
    wait_until(lambda: "200" in seen)
    stop.set()
    thread.join()
    old.close()
    new.close()
    assert "100" not in seen
    assert seen[-6:] == [*map(str, range(number, number + 5)), "200"]
