"""What only a catalog in PostgreSQL has: writers side by side, servers that are away, and passwords."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import text

from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.engine.manifest.errors import HeadMoved
from ctxmgr.errors import DataFolderError, ServiceError
from ctxmgr.service.catalog import contextfiles, contexts, leases, revisions, sessions, trees
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.keys import Keys
from ctxmgr.service.tasks.leases import Leases
from ctxmgr.service.tasks.questions import Questions
from ctxmgr.service.tasks.watch import Listeners
from tests.support.servers import PASSWORD, Database, PostgreSQLServer

ACCOUNT = "local"


@pytest.fixture
def catalog(database: Database) -> Iterator[Catalog]:
    opened = Catalog.connect(database.url)
    yield opened
    opened.close()


@pytest.fixture
def context(catalog: Catalog) -> str:
    with catalog.write(contexts.names_of(ACCOUNT)) as connection:
        return str(contexts.create(connection, ACCOUNT, "project").id)


def at_once(count: int, job: Callable[[int], object]) -> Sequence[object]:
    """Run a job so many times side by side; return what each gave or raised."""
    together = threading.Barrier(count)

    def run(number: int) -> object:
        together.wait()
        try:
            return job(number)
        except ServiceError as error:
            return error.code
        except HeadMoved:
            return "moved"

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def entry(content: bytes) -> Entry:
    return Entry(FILE, 0o644, 0, len(content), content.ljust(32, b"\0"))


def commit(catalog: Catalog, context: str, head: int, path: bytes) -> int:
    with catalog.write() as connection:
        return revisions.commit(
            connection, context, "/", head=head, current=(), put={path: entry(path)}, drop=(), task_id="", note=""
        )


def test_of_commits_on_the_same_head_one_wins(catalog: Catalog, context: str) -> None:
    for head in range(5):
        found = at_once(8, lambda number: commit(catalog, context, head, b"%d-%d" % (head, number)))  # noqa: B023
        assert sorted(map(str, found)) == [str(head + 1), *["moved"] * 7]
    with catalog.read() as connection:
        assert (revisions.head_of(connection, context), len(revisions.manifest(connection, context, "/"))) == (5, 5)


def test_files_put_at_once_are_all_there(catalog: Catalog, context: str) -> None:
    def put(number: int) -> int:
        with catalog.write() as connection:
            return contextfiles.put(connection, context, b"/%d" % number, entry(b"%d" % number), note="file")

    assert sorted(map(str, at_once(8, put))) == [str(number) for number in range(1, 9)]
    with catalog.read() as connection:
        assert len(revisions.manifest(connection, context, "/")) == 8


def test_a_name_is_given_once(catalog: Catalog) -> None:
    def create(number: int) -> str:
        with catalog.write(contexts.names_of(ACCOUNT)) as connection:
            contexts.create(connection, ACCOUNT, "other")
        return "made"

    assert sorted(map(str, at_once(8, create))) == [*["InvalidContext.Duplicate"] * 7, "made"]


def test_a_key_has_its_name_alone(catalog: Catalog) -> None:
    found = at_once(8, lambda number: Keys(catalog).create("ci", ACCOUNT)[0].name)
    assert sorted(map(str, found)) == [*["InvalidKey.Duplicate"] * 7, "ci"]


def test_a_context_that_is_deleted_while_it_is_committed_to_leaves_nothing(catalog: Catalog, context: str) -> None:
    def remove_or_commit(number: int) -> object:
        if number:
            return commit(catalog, context, 0, b"%d" % number)
        with catalog.write() as connection:
            contexts.remove(connection, ACCOUNT, context)
        return "deleted"

    found = at_once(6, remove_or_commit)
    assert "deleted" in found
    with catalog.read() as connection:
        assert revisions.manifest(connection, context, "/") == {}


def test_a_session_that_several_change_is_changed_by_one_after_the_other(catalog: Catalog) -> None:
    session = sessions.SessionRow("s-1", ACCOUNT, "/", False, {}, "", sessions.RUNNING, "")
    with catalog.write() as connection:
        sessions.create(connection, session)
    inside: list[int] = []

    def change(number: int) -> int:
        with catalog.write() as connection:
            sessions.hold_live(connection, ACCOUNT, "s-1")
            inside.append(number)
            alone = inside == [number]
            inside.remove(number)
            return alone

    assert at_once(8, change) == [True] * 8


def test_a_read_sees_one_state_though_others_write(catalog: Catalog, context: str) -> None:
    with catalog.read() as connection:
        assert revisions.head_of(connection, context) == 0
        commit(catalog, context, 0, b"a")
        assert (revisions.head_of(connection, context), revisions.manifest(connection, context, "/")) == (0, {})


def test_a_server_that_was_away_is_used_again(postgresql_server: PostgreSQLServer, catalog: Catalog) -> None:
    postgresql_server.stop()
    try:
        with pytest.raises(CatalogError) as caught, catalog.read() as connection:
            contexts.find_named(connection, ACCOUNT, "project")
        assert caught.value.code == "ServiceUnavailable.NoCatalog"
        assert PASSWORD not in caught.value.message
    finally:
        postgresql_server.start()
    with catalog.read() as connection:
        assert contexts.find_named(connection, ACCOUNT, "project") is None


def test_an_error_names_the_database_and_never_the_password(postgresql_server: PostgreSQLServer) -> None:
    url = f"postgresql+psycopg://ctxmgr:{PASSWORD}@127.0.0.1:{postgresql_server.port}/absent"
    with pytest.raises(DataFolderError, match=r"/absent") as caught:
        Catalog.connect(url)
    assert PASSWORD not in repr(caught.value)
    assert PASSWORD not in repr(caught.value.__cause__)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://user:{PASSWORD}",
        f"postgresql+psycopg://user:{PASSWORD}@host",
        f"postgresql+psycopg://user:{PASSWORD[:4]}@{PASSWORD[4:]}@host/database",
        f"postgresql+psycopg://user:{PASSWORD}@host:port/database",
        f"mysql://user:{PASSWORD}@host/database",
        f"sqlite:///{PASSWORD}",
        PASSWORD,
    ],
)
def test_what_is_no_url_of_a_database_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(DataFolderError, match="percent-encoded") as caught:
        Catalog.connect(url)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD[4:] not in str(caught.value)


def test_many_processes_make_the_tables_together(empty_database: Database) -> None:
    def opened(number: int) -> str:
        Catalog.connect(empty_database.url).close()
        return "opened"

    assert at_once(6, opened) == ["opened"] * 6


def test_an_empty_database_is_refused_where_content_says_that_there_was_a_catalog(empty_database: Database) -> None:
    with pytest.raises(DataFolderError, match=r"is empty, and the store has packs .* restore the database"):
        Catalog.connect(empty_database.url, expected=True)


def test_a_transaction_that_waits_for_another_too_long_says_that_it_can_be_tried_again(
    database: Database, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        # Its transaction must not be ended for being idle while the other one connects.
        patient = stack.enter_context(closing(Catalog.connect(database.url)))
        monkeypatch.setattr("ctxmgr.service.catalog.postgresql.PATIENCE_MS", 50)
        impatient = stack.enter_context(closing(Catalog.connect(database.url)))
        contexts.hold(stack.enter_context(patient.write()), [context])
        with pytest.raises(CatalogError, match="try again") as caught, impatient.write() as connection:
            contexts.hold(connection, [context])
        assert caught.value.code == "ServiceUnavailable.Busy"


def test_processes_that_hear_the_same_nodes_do_not_stop_each_other(catalog: Catalog) -> None:
    now = [1_000.0]
    listeners = Listeners()
    processes = [Leases(catalog, listeners, Questions(catalog, listeners), clock=lambda: now[0]) for _ in range(4)]
    names = [f"node-{number}" for number in range(100)]
    for number, process in enumerate(processes):
        process.begin = lambda: None  # type: ignore[method-assign] # the test looks itself
        for name in random.Random(number).sample(names, len(names)):
            process.hear(ACCOUNT, name, "sandbox", 42)
    for _ in range(5):
        assert at_once(len(processes), lambda number: processes[number].look()) == [None] * len(processes)
        now[0] += process.seconds / 2
        for process in processes:
            for name in names:
                process.check(ACCOUNT, name)
    with catalog.read() as connection:
        assert len(leases.elsewhere(connection)) == len(names)


def test_whether_much_that_is_new_is_a_tree_is_told_by_a_look_at_each(catalog: Catalog, context: str) -> None:
    """Nothing is known of how much there is as long as the transaction runs that brings it."""
    paths = [b"d/f%04d" % number for number in range(2_000)]
    read = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'files'")
    with catalog.write() as connection:
        put = {path: entry(path) for path in paths}
        revisions.commit(connection, context, "/", head=0, current=(), put=put, drop=(), task_id="", note="")
        before = connection.execute(read).scalar_one()
        assert trees.holder_among(connection, context, [b"/" + path for path in paths]) is None
        assert connection.execute(read).scalar_one() - before < 10 * len(paths)
        assert trees.holder_among(connection, context, [b"/" + paths[0], b"/d"]) is None
        put = {paths[0] + b"/x": entry(b"x")}
        revisions.commit(connection, context, "/", head=1, current=(), put=put, drop=(), task_id="", note="")
        assert trees.holder_among(connection, context, [b"/" + path for path in paths]) == b"/" + paths[0]
