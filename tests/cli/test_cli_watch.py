"""The watch over a directory: when it has it looked through."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.cli import watch
from ctxmgr.cli.watch import Watch

PATIENCE = 30.0
Told = queue.SimpleQueue[str]


@pytest.fixture
def told() -> Told:
    return queue.SimpleQueue()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BETWEEN_ATTEMPTS", 0.001)


def watching(directory: Path, told: Told) -> Watch:
    return Watch(str(directory), lambda: told.put("look"), told.put)


def all_of(told: Told, watched: Watch) -> list[str]:
    watched.close()
    return [told.get() for _ in range(told.qsize())]


def next_of(told: Told) -> str:
    return told.get(timeout=PATIENCE)


def test_it_looks_when_it_begins_and_then_at_changes_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Told
) -> None:
    over = threading.Event()

    def changes_in(directory: str, stop: threading.Event) -> Iterator[bool]:
        yield from (False, False, True, False)
        over.set()
        stop.wait(PATIENCE)

    monkeypatch.setattr(watch, "changes_in", changes_in)
    watched = watching(tmp_path, told)
    assert over.wait(PATIENCE)
    assert all_of(told, watched) == ["look", "look"]


def test_it_looks_again_after_minutes_without_a_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Told
) -> None:
    monkeypatch.setattr(watch, "_BETWEEN_SCANS", -1.0)
    over = threading.Event()

    def changes_in(directory: str, stop: threading.Event) -> Iterator[bool]:
        yield from (False, False, False)
        over.set()
        stop.wait(PATIENCE)

    monkeypatch.setattr(watch, "changes_in", changes_in)
    watched = watching(tmp_path, told)
    assert over.wait(PATIENCE)
    assert all_of(told, watched) == ["look"] * 3


def test_a_watcher_that_fails_is_told_and_begun_anew_with_a_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Told
) -> None:
    runs: list[list[bool | OSError]] = [[False, OSError("no space left for watches")], [False]]

    def changes_in(directory: str, stop: threading.Event) -> Iterator[bool]:
        for each in runs.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each
        stop.wait(PATIENCE)

    monkeypatch.setattr(watch, "changes_in", changes_in)
    watched = watching(tmp_path, told)
    assert [next_of(told) for _ in range(3)] == ["look", "no space left for watches", "look"]
    watched.close()


def test_a_directory_that_is_gone_is_told_and_looked_through_when_it_is_back(tmp_path: Path, told: Told) -> None:
    directory = tmp_path / "directory"
    watched = watching(directory, told)
    assert "is not there" in next_of(told)
    directory.mkdir()
    while next_of(told) != "look":
        pass
    watched.close()


def test_changes_in_new_folders_count(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET_MS", 10)
    watched = watching(tmp_path, told)
    assert next_of(told) == "look"
    (tmp_path / "new").mkdir()
    assert next_of(told) == "look"
    (tmp_path / "new" / "file").write_text("new")
    assert next_of(told) == "look"
    watched.close()


def test_temporary_names_of_ours_are_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET_MS", 10)
    monkeypatch.setattr(watch, "_LOOK_MS", 50)
    stop = threading.Event()
    changes = watch.changes_in(str(tmp_path), stop)
    assert next(changes) is False
    (tmp_path / ".ctxmgr-tmp-0123456789abcdef").write_text("ours")
    assert [next(changes) for _ in range(3)] == [False] * 3
    (tmp_path / "theirs").write_text("theirs")
    assert any(next(changes) for _ in range(100))


def test_what_ignore_files_leave_out_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET_MS", 10)
    monkeypatch.setattr(watch, "_LOOK_MS", 50)
    (tmp_path / "sub" / "build").mkdir(parents=True)
    (tmp_path / ".ctxignore").write_text("*.log\n")
    (tmp_path / "sub" / ".ctxignore").write_text("build/\n")
    changes = watch.changes_in(str(tmp_path), threading.Event())
    while next(changes):
        pass
    (tmp_path / "sub" / "a.log").write_text("ignored")
    (tmp_path / "sub" / "build" / "made").write_text("ignored")
    assert [next(changes) for _ in range(3)] == [False] * 3
    (tmp_path / "build").mkdir()
    assert any(next(changes) for _ in range(100))
