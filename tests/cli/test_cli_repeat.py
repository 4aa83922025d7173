"""An upload in which nothing has to be done: it takes no service, and is as true and as well recorded as by one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ctxmgr import Client
from ctxmgr.cli.commands import sync as sync_command
from ctxmgr.engine.workspace.prints import has_prints
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.tasks import repeat
from ctxmgr.service.tasks.repeat import repeat_upload
from tests.cli.commandline import Command
from tests.support.programs import output_of

NEVER_THE_SAME = {"number", "id", "node_id", "queued_ms", "started_ms", "finished_ms"}
PROGRAM = """
import sys
from ctxmgr.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules, sep="\\n")
"""


@contextmanager
def catalog(command: Command) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(command.home / "catalog.db", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def task_rows(command: Command) -> list[dict[str, Any]]:
    with catalog(command) as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM tasks ORDER BY number")]


def change(command: Command, statement: str, *values: object) -> None:
    with catalog(command) as connection:
        assert connection.execute(statement, values).rowcount == 1


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What was found each time that an upload was tried without a service: a revision, or None."""
    found: list[int | None] = []

    def noted(*arguments: Any) -> int | None:
        found.append(repeat_upload(*arguments))
        return found[-1]

    monkeypatch.setattr(repeat, "repeat_upload", noted)
    return found


@pytest.fixture
def kept(command: Command, workspace: Path) -> Path:
    """A workspace that is as its last sync left it, and no file of it so new that it has to be read to know it."""
    for _ in range(2):
        command.sync(workspace).succeeded()
    return workspace


def test_it_loads_neither_a_service_nor_a_client(command: Command, kept: Path) -> None:
    out = output_of(PROGRAM, "sync", str(kept), "--context", "project")
    told, status, *modules = out.split("\n")
    assert (told, status) == ("nothing changed: project is at revision 1", "0")
    loaded = {module.partition(".")[0] for module in modules}
    assert loaded & {"sqlalchemy", "requests", "urllib3", "rich", "obstore", "attr", "cattrs"} == set()
    assert {"ctxmgr.client", "ctxmgr.service.contextservice"} & set(modules) == set()


def by_service(command: Command, *arguments: str | Path) -> Any:
    """Sync without trying to do without a service."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sync_command, "repeat_upload", lambda *_: None)
        return command.sync(*arguments, "--json").document


def rows(command: Command) -> dict[str, list[tuple[object, ...]]]:
    """All that the catalog holds, by table."""
    with catalog(command) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(tuple, connection.execute(f"SELECT * FROM {name}")), key=repr) for name in tables}


def test_its_answer_and_its_record_are_those_of_a_service(
    command: Command, kept: Path, repeated: list[int | None]
) -> None:
    first = rows(command)
    answer = by_service(command, kept)
    second = rows(command)
    assert command.sync(kept, "--json").document == answer
    third = rows(command)
    assert repeated[-1] == 1
    *_, before, alone = task_rows(command)
    assert {name for name in alone if alone[name] != before[name]} == NEVER_THE_SAME
    assert alone["finished_ms"] >= before["finished_ms"]
    assert [name for name in first if first[name] != second[name]] == [
        name for name in second if second[name] != third[name]
    ]
    with catalog(command) as connection:
        (context,) = connection.execute("SELECT * FROM contexts").fetchall()
    assert context["uploaded_ms"] == alone["finished_ms"]
    assert command("info", kept).succeeded().count("nothing to do; revision 1") == 1


def edit_a_file(command: Command, kept: Path) -> None:
    (kept / "a.txt").write_text("other")


def remove_a_file(command: Command, kept: Path) -> None:
    (kept / "sub" / "b.txt").unlink()


def remove_a_folder(command: Command, kept: Path) -> None:
    shutil.rmtree(kept / "sub")


def make_an_empty_folder(command: Command, kept: Path) -> None:
    (kept / "empty").mkdir()


def change_a_mode(command: Command, kept: Path) -> None:
    (kept / "sub").chmod(0o700)


def edit_with_the_times_set_back(command: Command, kept: Path) -> None:
    before = (kept / "a.txt").stat()
    (kept / "a.txt").write_text("HELLO")
    os.utime(kept / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "edit",
    [
        edit_a_file,
        remove_a_file,
        remove_a_folder,
        make_an_empty_folder,
        change_a_mode,
        edit_with_the_times_set_back,
    ],
)
def test_what_changed_is_uploaded(
    command: Command, kept: Path, repeated: list[int | None], edit: Callable[[Command, Path], None]
) -> None:
    edit(command, kept)
    assert command.sync(kept, "--json").document["revision"] == 2
    assert repeated[-1] is None
    elsewhere = command.place / "elsewhere"
    command.sync(elsewhere, "--mode", "download").succeeded()
    assert contents(elsewhere) == contents(kept)


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path.relative_to(folder): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def another_head(command: Command, kept: Path) -> None:
    other = command.place / "other"
    other.mkdir()
    (other / "more").write_text("more")
    command.sync(other).succeeded()


def another_life_of_the_catalog(command: Command, kept: Path) -> None:
    change(command, "UPDATE revisions SET created_ms = created_ms + 1")


def another_schema(command: Command, kept: Path) -> None:
    change(command, "UPDATE meta SET value = '999' WHERE key = 'schema'")
    change(command, "INSERT OR REPLACE INTO meta VALUES ('oldest', '8')")


def another_process(command: Command, kept: Path) -> None:
    change(command, "INSERT INTO nodes (id, host, pid, started_ms) VALUES ('node-x', 'host', 1, 1)")


def an_unfinished_task(command: Command, kept: Path) -> None:
    change(command, "UPDATE tasks SET finished_ms = NULL, status = 'Waiting', node_id = '' WHERE number = 1")


def a_recycle_policy(command: Command, kept: Path) -> None:
    with catalog(command) as connection:
        (context_id,) = connection.execute("SELECT id FROM contexts").fetchone()
    change(command, "INSERT INTO lifecycles VALUES (?, x'2f', 1, 1)", context_id)


def a_policy_that_leaves_something_out(command: Command, kept: Path) -> None:
    change(command, """UPDATE bindings SET policy = '{"exclude": ["*.log"]}'""")


def another_binding(command: Command, kept: Path) -> None:
    change(
        command,
        "INSERT INTO bindings SELECT session_id, context_id, '/sub', '/sub', policy, bound_ms FROM bindings",
    )


def no_session(command: Command, kept: Path) -> None:
    change(command, "UPDATE sessions SET status = 'FINISH'")


def a_renamed_context(command: Command, kept: Path) -> None:
    command("context", "rename", "project", "renamed").succeeded()


def a_lost_pack(command: Command, kept: Path) -> None:
    for pack in (command.home / "blobs" / "packs").glob("??/*"):
        pack.unlink()


def a_damaged_pack(command: Command, kept: Path) -> None:
    for pack in (command.home / "blobs" / "packs").glob("??/*"):
        pack.write_bytes(bytes(len(pack.read_bytes())))


def an_interrupted_download(command: Command, kept: Path) -> None:
    for state in (command.home / "workspaces").glob("*.state"):
        with catalog(command) as connection:
            (root,) = connection.execute("SELECT root FROM sessions").fetchone()
        journal = DataFolder(command.home, command.home).workspace_journal(os.fsdecode(root))
        journal.write_bytes(b"")
        assert journal.parent == state.parent


def no_state(command: Command, kept: Path) -> None:
    for state in (command.home / "workspaces").glob("*.state"):
        state.unlink()


def a_damaged_state(command: Command, kept: Path) -> None:
    for state in (command.home / "workspaces").glob("*.state"):
        state.write_bytes(b"damaged")


def a_catalog_for_others_to_read(command: Command, kept: Path) -> None:
    (command.home / "catalog.db").chmod(0o644)


def a_damaged_catalog(command: Command, kept: Path) -> None:
    (command.home / "catalog.db").write_bytes(b"damaged" * 1000)


def a_newer_data_folder(command: Command, kept: Path) -> None:
    (command.home / "ctxmgr.json").write_text('{"format": 99}')


@pytest.mark.parametrize(
    "unusual",
    [
        another_head,
        another_life_of_the_catalog,
        another_schema,
        another_process,
        an_unfinished_task,
        a_recycle_policy,
        a_policy_that_leaves_something_out,
        another_binding,
        no_session,
        a_renamed_context,
        a_lost_pack,
        a_damaged_pack,
        an_interrupted_download,
        no_state,
        a_damaged_state,
        a_catalog_for_others_to_read,
        a_damaged_catalog,
        a_newer_data_folder,
    ],
)
def test_what_is_unusual_is_left_to_the_service(
    command: Command, kept: Path, repeated: list[int | None], unusual: Callable[[Command, Path], None]
) -> None:
    command.sync(kept).succeeded()
    assert repeated[-1] == 1
    unusual(command, kept)
    told = command.sync(kept).err
    assert repeated[-1] is None
    assert told.count("\n") <= 1


@pytest.mark.parametrize(
    "options",
    [
        ("--exclude", "*.log"),
        ("--conflict", "ours"),
        ("--allow-mass-delete",),
        ("--limit-upload", "1000"),
        ("--dry-run",),
        ("--mode", "download"),
    ],
    ids=" ".join,
)
def test_choices_are_left_to_the_service(
    command: Command, kept: Path, repeated: list[int | None], options: tuple[str, ...]
) -> None:
    tried = len(repeated)
    command.sync(kept, *options).succeeded()
    assert len(repeated) == tried


@pytest.mark.parametrize("variable", ["CTXMGR_CATALOG", "CTXMGR_STORE"])
def test_a_catalog_or_a_store_elsewhere_is_left_to_the_service(
    command: Command, kept: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    before = task_rows(command)
    monkeypatch.setenv(variable, "nowhere://elsewhere")
    command.sync(kept).failed()
    assert task_rows(command) == before


def test_a_service_that_is_open_is_asked(command: Command, kept: Path, repeated: list[int | None]) -> None:
    with Client.local(command.home):
        command.sync(kept).succeeded()
    assert repeated[-1] is None


def test_a_catalog_that_another_writes_is_waited_for_by_the_service(
    command: Command, kept: Path, repeated: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctxmgr.service.catalog.repeats._WAIT_SECONDS", 0)
    with catalog(command) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert repeat_upload(str(command.home), str(kept), "project", lambda _: {}) is None
        labels = {"ctxmgr.root": str(kept)}
        assert repeat_upload(str(command.home), str(kept), "project", lambda _: labels) is None
        connection.execute("ROLLBACK")
    assert repeat_upload(str(command.home), str(kept), "project", lambda _: labels) == 1


def test_what_comes_between_is_left_to_the_service(
    command: Command, kept: Path, repeated: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: Any) -> bool:
        same = has_prints(*arguments)
        monkeypatch.setattr(repeat, "has_prints", has_prints)
        another_head(command, kept)
        return same

    monkeypatch.setattr(repeat, "has_prints", meanwhile)
    assert command.sync(kept, "--json").document["revision"] == 2
    assert repeated[-1] is None


def test_a_directory_that_was_made_anew_is_left_to_the_service(
    command: Command, kept: Path, repeated: list[int | None]
) -> None:
    (kept / "a.txt").unlink()
    for _ in range(2):
        command.sync(kept).succeeded()
    assert repeated[-1] == 2
    before = kept.rename(command.place / "before")
    kept.mkdir()
    (before / "sub").rename(kept / "sub")
    assert command.sync(kept, "--json").document["nothing_to_sync"]
    assert repeated[-1] is None


def test_two_contexts_of_a_directory_are_kept_apart(command: Command, kept: Path, repeated: list[int | None]) -> None:
    for _ in range(2):
        command("sync", kept, "--context", "other").succeeded()
    (kept / "a.txt").write_text("other")
    command.sync(kept).succeeded()
    command.sync(kept).succeeded()
    assert command("sync", kept, "--context", "other", "--json").document["files"] == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse names that are not UTF-8")
def test_names_that_are_not_utf8(command: Command, repeated: list[int | None]) -> None:
    folder = Path(os.fsdecode(os.fsencode(command.place) + b"/\xff\\x"))
    folder.mkdir()
    (folder / os.fsdecode(b"\xfe")).write_text("x")
    for _ in range(3):
        command.sync(folder).succeeded()
    assert repeated[-1] == 1
