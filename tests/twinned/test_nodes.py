"""Sessions whose directory this process has, for whoever asks: made elsewhere, attached here, taken over, left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from ctxmgr import Binding, Client, ConflictError, Context, NotFoundError, SyncPolicy, SyncProgress, UploadPolicy
from ctxmgr.engine.content.chunks import PackWriter
from tests.support.gates import Gate
from tests.support.scripted import PATIENCE

from .called import Called
from .services import HERE

BY_HAND = SyncPolicy(upload=UploadPolicy(auto_upload=False))

pytestmark = pytest.mark.parametrize("kept", [HERE], indirect=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def controller(account: Callable[[], tuple[str, str]]) -> Iterator[Client]:
    """Another client of the same account, which has no directory."""
    endpoint, key = account()
    with Client(endpoint=endpoint, api_key=key) as controller:
        yield controller


class TestWhoAsks:
    def test_a_sync_that_another_client_asks_for_is_done_here(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        (root / "a.txt").write_text("one")
        elsewhere = controller.session(session.session_id)
        planned = elsewhere.context.plan()
        assert [change.path for change in planned.changes] == ["a.txt"]
        result = elsewhere.context.sync()
        assert (result.success, result.files) == (True, 1)
        info = elsewhere.context.info(task_type="upload")
        assert [(task.status, task.files) for task in info.context_status_data] == [("Success", 1)]

    def test_deleting_it_elsewhere_uploads_what_is_here(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        (root / "a.txt").write_text("one")
        deleted = controller.session(session.session_id).delete()
        assert deleted.success
        page = controller.files.list(project)
        assert [file.path for file in page.files] == ["/a.txt"]

    def test_what_the_sync_leaves_out_is_chosen_by_who_asks(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": Binding(project, BY_HAND)}).session
        (root / "a.txt").write_text("one")
        (root / "a.log").write_text("one")
        elsewhere = controller.session(session.session_id)
        planned = elsewhere.context.plan(exclude=["*.log"])
        assert [(each.path, each.pattern) for each in planned.excluded] == [("a.log", "*.log")]
        result = elsewhere.context.sync(exclude=["*.log"])
        assert (result.success, result.files) == (True, 1)

    def test_whether_most_may_be_deleted_is_for_who_asks_to_say(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": Binding(project, BY_HAND)}).session
        for number in range(20):
            (root / f"{number}").write_text("x")
        elsewhere = controller.session(session.session_id)
        first = elsewhere.context.sync()
        for number in range(11):
            (root / f"{number}").unlink()
        planned = elsewhere.context.plan()
        refused = elsewhere.context.sync()
        meant = elsewhere.context.sync(allow_mass_delete=True)
        assert first.success
        assert planned.refusal.startswith("[Sync.MassDelete] ")
        assert refused.error_message.startswith("[Sync.MassDelete] ")
        assert (meant.success, meant.deleted) == (True, 11)

    def test_who_waits_is_told_how_much_of_what_there_is_to_do_is_done(
        self, local: Client, controller: Client, project: Context, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": Binding(project, BY_HAND)}).session
        for number in range(3):
            (root / f"{number}").write_text("four")
        told = Event()
        flush = PackWriter.flush

        def wait_and_flush(writer: PackWriter) -> None:
            assert told.wait(PATIENCE)
            flush(writer)

        def watch(progress: SyncProgress) -> None:
            if progress == SyncProgress(files_total=3, files_done=3, bytes_total=12, bytes_done=12):
                told.set()

        monkeypatch.setattr(PackWriter, "flush", wait_and_flush)
        monkeypatch.setattr("ctxmgr.engine.sync.progress.SECONDS_BETWEEN_RECORDS", 0.0)
        result = controller.session(session.session_id).context.sync(progress=watch)
        assert result.success


class TestAttach:
    def test_a_session_that_was_made_without_a_directory_works_in_this_one(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        made = controller.sessions.create(bind={"/data": project}).session
        attached = local.sessions.attach(made.session_id, root).session
        (root / "data" / "a.txt").write_text("one")
        result = made.context.sync()
        assert (result.success, result.files, attached.session_id) == (True, 1, made.session_id)

    def test_what_its_bindings_download_is_there_when_it_returns(
        self, local: Client, controller: Client, project: Context, root: Path, tmp_path: Path
    ) -> None:
        (root / "a.txt").write_text("one")
        with local.sessions.create(root=root, bind={"/": project}).session:
            pass
        made = controller.sessions.create(bind={"/": project}, wait=False).session
        (tmp_path / "two").mkdir()
        local.sessions.attach(made.session_id, tmp_path / "two").raise_for_error()
        assert (tmp_path / "two" / "a.txt").read_text() == "one"

    def test_again_by_the_same_client_is_fine(self, local: Client, project: Context, root: Path) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        again = local.sessions.attach(session.session_id, root)
        assert again.success

    def test_while_another_has_it_is_refused_and_names_that_one(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        refused = controller.sessions.attach(session.session_id, root, wait=False)
        with pytest.raises(ConflictError, match="has the directory of the session"):
            refused.raise_for_error()
        result = session.context.sync()
        assert result.success

    def test_after_the_other_left_goes_on_where_it_was(
        self, local: Client, controller: Client, project: Context, root: Path
    ) -> None:
        (root / "a.txt").write_text("one")
        session = controller.sessions.create(root=root, bind={"/": project}).session
        first = session.context.sync()
        controller.close()
        attached = local.sessions.attach(session.session_id, root).session
        second = attached.context.sync()
        assert (first.files, second.nothing_to_sync) == (1, True)

    def test_a_session_that_is_not_there_is_a_failure(self, local: Client, root: Path) -> None:
        result = local.sessions.attach("s-nothing", root)
        with pytest.raises(NotFoundError):
            result.raise_for_error()

    def test_one_that_works_in_a_directory_of_the_servers_is_refused_at_once(
        self, local: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(server_root=root, bind={"/": project}).session
        result = local.sessions.attach(session.session_id, root)
        assert result.error_message.startswith("[Forbidden.Root]")


class TestEnd:
    def test_a_client_that_is_closed_leaves_its_sessions(
        self, local: Client, controller: Client, project: Context, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(monkeypatch)
        monkeypatch.setattr("ctxmgr.node.node.Node.close.__defaults__", (0.0,))
        session = local.sessions.create(root=root, bind={"/": Binding(project, BY_HAND)}).session
        called = Called()
        pending = session.context.sync(callback=called)
        while not gate.is_reached:
            controller.contexts.list()
        local.close()
        called.wait()
        info = controller.session(session.session_id).context.info(task_type="upload")
        (task,) = info.context_status_data
        assert (pending.pending, called.calls, task.status) == (True, [False], "Failed")
        assert task.error_message == "interrupted: the process that had the directory left"


def test_two_accounts_see_nothing_of_each_other(
    local: Client, project: Context, root: Path, new_account: Callable[[], tuple[str, str]]
) -> None:
    session = local.sessions.create(root=root, bind={"/": project}).session
    endpoint, key = new_account()
    with Client(endpoint=endpoint, api_key=key) as stranger:
        result = stranger.sessions.attach(session.session_id, root)
        assert result.error_message.startswith("[InvalidMcpSession.NotFound]")
