"""The versions of the catalog's tables, on both databases: every earlier one is brought up, and a newer one refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, inspect, text

from ctxmgr.errors import DataFolderError
from ctxmgr.service.catalog import versions
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.schema import contexts, metadata, revisions, tasks
from ctxmgr.service.catalog.schemaversion import OLDEST, SCHEMA
from tests.support.servers import Database

ROW = {"id": "task-1", "account": "local", "session_id": "s-1", "context_id": "c-1", "mount": "/", "path": "/"}
ROW |= {"mode": "upload", "status": "Success", "node_id": "node-1", "error": "", "skipped": "[]"}


class Kept:
    """A database that a catalog is opened in again and again."""

    def __init__(self, engine: Engine, open_catalog: Callable[..., Catalog]) -> None:
        self.engine = engine
        self.open = open_catalog

    def make(self, version: int) -> None:
        """Make the tables as programs of a version did."""
        with self.engine.begin() as connection:
            versions.upgrade(connection, 0, to=version)

    def note(self, version: int, oldest: int | None) -> None:
        """Note a version as newer programs do, or as those did that noted no oldest one."""
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM meta"))
            for key, value in (("schema", version), ("oldest", oldest)):
                if value is not None:
                    connection.execute(text(f"INSERT INTO meta VALUES ('{key}', '{value}')"))


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/catalog.db"
        open_catalog: Callable[..., Catalog] = partial(Catalog.open, tmp_path / "catalog.db")
    else:
        database: Database = request.getfixturevalue("empty_database")
        url, open_catalog = database.url, partial(Catalog.connect, database.url)
    engine = create_engine(url)
    yield Kept(engine, open_catalog)
    engine.dispose()


def described(engine: Engine) -> Mapping[str, Any]:
    """Return what a database says of its tables."""
    found = inspect(engine)
    return {
        name: (
            {each["name"]: (str(each["type"]), each["nullable"], each["default"]) for each in found.get_columns(name)},
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(shown(index) for index in found.get_indexes(name)),
            sorted(str(constraint["column_names"]) for constraint in found.get_unique_constraints(name)),
        )
        for name in found.get_table_names()
    }


def shown(index: Mapping[str, Any]) -> str:
    options = {name: str(value) for name, value in index["dialect_options"].items()}
    return f"{index['name']} {index['column_names']} {index['unique']} {options}"


def fill_tasks(kept: Kept, **values: object) -> None:
    with kept.engine.begin() as connection:
        table = Table("tasks", MetaData(), autoload_with=connection)
        numbers = {
            column.name: 0
            for column in table.columns
            if not column.nullable and column.server_default is None and column.name not in ("number", *ROW)
        }
        falses = {"delete": False, "nothing_to_sync": False}
        connection.execute(table.insert().values({**numbers, **falses, **ROW, **values}))


@pytest.mark.parametrize("version", range(1, SCHEMA))
def test_tables_of_an_earlier_version_become_those_that_are_made_anew(kept: Kept, version: int) -> None:
    kept.make(version)
    fill_tasks(kept)
    catalog = kept.open()
    try:
        with catalog.read() as connection:
            (row,) = connection.execute(tasks.select()).all()
        assert {name: getattr(row, name) for name in ROW} == ROW
        migrated = described(kept.engine)
    finally:
        catalog.close()
    with kept.engine.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f'DROP TABLE "{name}"'))
        metadata.create_all(connection)
    assert described(kept.engine) == migrated


def test_uploads_that_tasks_tell_of_are_known_after_an_upgrade(kept: Kept) -> None:
    kept.make(11)
    ended = [("one", "/", "upload", "Success", 5), ("one", "/", "upload", "Success", 7)]
    ended += [
        ("one", "/", "upload", "Failed", 8),
        ("one", "/", "download", "Success", 8),
        ("two", "/a", "upload", "Success", 8),
    ]
    with kept.engine.begin() as connection:
        for name in ("one", "two"):
            values = f"'{name}', 'local', '{name}', 1, 1, 1"
            connection.execute(
                text(f"INSERT INTO contexts (id, account, name, head, created_ms, used_ms) VALUES ({values})")
            )
    for number, (context_id, path, mode, status, finished_ms) in enumerate(ended):
        row = {"context_id": context_id, "path": path, "mode": mode, "status": status, "finished_ms": finished_ms}
        fill_tasks(kept, id=f"task-{number}", **row)
    catalog = kept.open()
    with catalog.read() as connection:
        known = {row.id: row.uploaded_ms for row in connection.execute(contexts.select())}
    catalog.close()
    assert known == {"one": 7, "two": None}


def test_machines_that_are_known_still_are_kept_with_their_revisions_by_an_upgrade(kept: Kept) -> None:
    kept.make(13)
    with kept.engine.begin() as connection:
        connection.execute(text("INSERT INTO nodes (id, host, pid, started_ms) VALUES ('node-1', 'laptop', 1, 1)"))
        for number, task in enumerate(("task-1", "task-2", "")):
            row = f"'c-1', {number}, 1, '{task}', '', ''"
            columns = "context_id, number, created_ms, task_id, workspace, note"
            connection.execute(text(f"INSERT INTO revisions ({columns}) VALUES ({row})"))
    fill_tasks(kept)
    fill_tasks(kept, id="task-2", node_id="gone")
    catalog = kept.open()
    with catalog.read() as connection:
        assert [row.host for row in connection.execute(revisions.select().order_by("number"))] == ["laptop", "", ""]
    catalog.close()


def test_the_migrations_end_where_the_tables_are() -> None:
    scripts = list(ScriptDirectory(str(versions.MIGRATIONS)).walk_revisions())[::-1]
    assert [script.revision for script in scripts] == [str(number) for number in range(1, SCHEMA + 1)]
    oldest = [script.module.OLDEST for script in scripts]
    assert oldest == sorted(oldest)
    assert oldest[-1] == OLDEST


def test_an_upgrade_that_breaks_off_leaves_the_tables_as_they_were(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.make(1)
    before = described(kept.engine)

    def broken(connection: Connection, version: int, oldest: int) -> None:
        raise OSError("the power is cut")

    with monkeypatch.context() as patch:
        patch.setattr(versions, "_note", broken)
        with pytest.raises(OSError, match="power"):
            kept.open()
    assert described(kept.engine) == before
    kept.open().close()


def test_the_version_that_is_known_is_opened_without_importing_what_migrates(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        from ctxmgr.service.catalog.database import Catalog
        Catalog.open(Path(sys.argv[1])).close()
        Catalog.open(Path(sys.argv[1])).close()
        print("alembic" in sys.modules)
    """
    command = [sys.executable, "-c", "\n".join(map(str.strip, program.splitlines())), str(tmp_path / "catalog.db")]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


def test_tables_that_a_newer_program_only_added_to_are_used(kept: Kept) -> None:
    kept.open().close()
    kept.note(SCHEMA + 1, SCHEMA)
    catalog = kept.open()
    with catalog.read() as connection:
        assert connection.execute(tasks.select()).all() == []
    catalog.close()


@pytest.mark.parametrize("oldest", [None, SCHEMA + 1])
def test_tables_of_a_newer_program_are_refused_with_what_to_do(kept: Kept, oldest: int | None) -> None:
    kept.open().close()
    kept.note(SCHEMA + 1, oldest)
    with pytest.raises(DataFolderError, match=rf"schema {SCHEMA + 1}, .* knows up to {SCHEMA}: use the newer ctxmgr"):
        kept.open()


def test_tables_that_say_no_version_are_refused(kept: Kept) -> None:
    kept.open().close()
    kept.note(SCHEMA, None)
    with kept.engine.begin() as connection:
        connection.execute(text("UPDATE meta SET value = 'many'"))
    with pytest.raises(DataFolderError, match="does not say its schema version: 'many'"):
        kept.open()


def test_a_program_that_runs_on_tables_which_a_newer_one_took_away_says_so(kept: Kept) -> None:
    catalog = kept.open()
    with kept.engine.begin() as connection:
        connection.execute(text("ALTER TABLE tasks RENAME TO other_tasks"))
    kept.note(SCHEMA + 1, SCHEMA + 1)
    with pytest.raises(CatalogError, match="start this process again") as caught, catalog.read() as connection:
        connection.execute(tasks.select())
    assert caught.value.code == "ServiceUnavailable.Outdated"
    catalog.close()


CONTRACTION = """
from alembic import op
revision, down_revision, OLDEST = "{}", "{}", {}
def upgrade(): op.drop_column("tasks", "discard")
"""


def test_what_programs_that_run_could_not_go_on_with_is_not_done_beside_them(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept.open().close()
    before = described(kept.engine)
    newer = SCHEMA + 1
    shutil.copytree(versions.MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "newer.py").write_text(CONTRACTION.format(newer, SCHEMA, newer))
    monkeypatch.setattr(versions, "MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr("ctxmgr.service.catalog.versions.SCHEMA", newer)
    with pytest.raises(DataFolderError, match=r"stop pid 7 on example first"):
        kept.open(users=lambda connection: ["pid 7 on example"])
    assert described(kept.engine) == before
    kept.open().close()
    assert "discard" not in described(kept.engine)["tasks"][0]
