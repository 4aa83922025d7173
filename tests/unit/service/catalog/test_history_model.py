"""Any sequence of changes and ways back, compared with a model that keeps every revision whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.engine.sync.task import Task
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import contextfiles, contexts, history, revisions
from ctxmgr.service.catalog.tasks import CLEAR, RESTORE
from ctxmgr.service.tasks.runtime import Runtime

# Each path's content, and the number of the put that brought it: the same content later is another version.
Content = dict[bytes, tuple[bytes, int]]

PATHS = st.sampled_from([b"/a", b"/b", b"/d/a", b"/d/b"])
CHANGES = st.one_of(
    st.tuples(st.just("put"), PATHS, st.binary(min_size=1, max_size=2)),
    st.tuples(st.just("delete"), PATHS),
    st.tuples(st.just("back"), st.integers(0, 12)),
)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    service = ContextService.open(tmp_path_factory.mktemp("model") / "data")
    yield service._runtime
    service.close()


def entry(content: bytes) -> Entry:
    return Entry(FILE, 0o644, 0, len(content), content.ljust(32, b"\0"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGES, max_size=12))
def test_going_back_gives_exactly_what_was_there(runtime: Runtime, changes: list[tuple[object, ...]]) -> None:
    with runtime.catalog.write() as connection:
        context: str = contexts.create(connection, "local", uuid.uuid4().hex).id
    past: list[Content] = [{}]
    for change in changes:
        now = dict(past[-1])
        with runtime.catalog.write() as connection:
            match change:
                case ("put", bytes(path), bytes(content)):
                    if path not in now or now[path][0] != content:
                        now[path] = content, len(past)
                    contextfiles.put(connection, context, path, entry(content), note="")
                case ("delete", bytes(path)) if path in now:
                    del now[path]
                    contextfiles.delete(connection, context, [path], recursive=False)
                case ("back", int(number)) if number < len(past):
                    now = past[number]
                    task = Task("t", context, context, "/", "/", RESTORE if number else CLEAR, False, number)
                    outcome = history.go_back(connection, task)
                    assert outcome.nothing_to_sync == (now == past[-1])
                    assert outcome.deleted == len(past[-1].keys() - now.keys())
            head = revisions.head_of(connection, context)
        if head == len(past):
            past.append(now)
        assert (len(past) - 1, past[-1]) == (head, now)
    with runtime.catalog.read() as connection:
        for number, wanted in enumerate(past):
            found = revisions.manifest(connection, context, "/", revision=number)
            held = {b"/" + path: item.digest for path, item in found.items() if item.kind == FILE}
            assert held == {path: entry(content).digest for path, (content, _) in wanted.items()}
