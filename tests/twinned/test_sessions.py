"""Sessions on the embedded service: what a directory brings to its contexts and gets from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr import (
    ApiError,
    ArgumentError,
    Binding,
    Client,
    ClosedError,
    Context,
    DeletePolicy,
    DownloadPolicy,
    NotFoundError,
    Session,
    SyncPolicy,
    UploadPolicy,
)
from tests.support.answers import entry, listed, ok, refused, started
from tests.support.scripted import Answer, Raw, ScriptedServer

from .called import Called
from .services import EMBEDDED, SERVICES, THERE, rooted

BY_HAND = SyncPolicy(upload=UploadPolicy(auto_upload=False), download=DownloadPolicy(auto_download=False))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another directory, as on another machine."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return elsewhere


@pytest.fixture
def session(local: Client, project: Context, root: Path) -> Iterator[Session]:
    """A session in `root` with the project's context bound there."""
    with local.sessions.create(**rooted(local, root), bind={"/": project}).session as session:
        yield session


def fail_in_a_session_that_cannot_end(local: Client, project: Context, root: Path) -> None:
    with local.sessions.create(**rooted(local, root), bind={"/": project}).session as session:
        session.delete()
        raise ZeroDivisionError


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestSync:
    def test_an_upload_counts_what_travelled(self, session: Session, root: Path) -> None:
        (root / "a.txt").write_text("one")
        (root / "b.txt").write_text("four")
        result = session.context.sync()
        assert (result.success, result.files, result.bytes, result.revision) == (True, 2, 7, 1)

    def test_an_upload_of_nothing_new_says_so(self, session: Session, root: Path) -> None:
        (root / "a.txt").write_text("one")
        session.context.sync()
        result = session.context.sync()
        assert (result.success, result.nothing_to_sync, result.revision) == (True, True, 1)

    def test_every_change_makes_a_revision(self, session: Session, root: Path) -> None:
        revisions = []
        for text in ("one", "two", "three"):
            (root / "a.txt").write_text(text)
            result = session.context.sync()
            revisions.append(result.revision)
        assert revisions == [1, 2, 3]

    def test_what_cannot_be_kept_is_told(self, session: Session, root: Path) -> None:
        os.mkfifo(root / "pipe")
        result = session.context.sync()
        assert [path for path, _ in result.skipped] == ["pipe"]

    def test_a_callback_hears_of_it(self, session: Session, root: Path) -> None:
        (root / "a.txt").write_text("one")
        called = Called()
        pending = session.context.sync(callback=called)
        called.wait()
        assert (pending.pending, called.calls) == (True, [True])

    def test_info_shows_the_upload(self, session: Session, project: Context, root: Path) -> None:
        (root / "a.txt").write_text("one")
        session.context.sync()
        info = session.context.info(task_type="upload")
        shown = [(task.context_id, task.path, task.status, task.files) for task in info.context_status_data]
        assert shown == [(project.id, "/", "Success", 1)]

    def test_a_binding_that_is_not_there_is_refused(self, session: Session, project: Context) -> None:
        result = session.context.sync("SdkCtx-another", "/nowhere")
        with pytest.raises(NotFoundError, match="/nowhere"):
            result.raise_for_error()

    def test_a_path_below_a_binding_is_synced_alone(self, session: Session, project: Context, root: Path) -> None:
        for name in ("file", "other"):
            (root / name).write_text(name)
        result = session.context.sync(project.id, "/file")
        assert (result.success, result.files, [task.path for task in result.tasks]) == (True, 1, ["/file"])
        assert session.context.sync().files == 1

    def test_a_path_below_a_binding_where_nothing_is_is_a_failure_that_names_it(
        self, session: Session, project: Context
    ) -> None:
        result = session.context.sync(project.id, "/nowhere")
        assert not result.success
        assert "nowhere" in result.error_message

    def test_a_directory_that_is_gone_is_a_failure_that_names_it(self, session: Session, root: Path) -> None:
        root.rmdir()
        result = session.context.sync()
        root.mkdir()
        assert not result.success
        assert str(root) in result.error_message


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestRestore:
    def test_another_directory_gets_what_was_uploaded(
        self, local: Client, session: Session, project: Context, root: Path, elsewhere: Path
    ) -> None:
        (root / "deep").mkdir()
        (root / "deep" / "b.txt").write_text("seven..")
        (root / "empty").mkdir()
        session.context.sync()
        with local.sessions.create(**rooted(local, elsewhere), bind={"/": project}).session:
            assert (elsewhere / "deep" / "b.txt").read_text() == "seven.."
            assert (elsewhere / "empty").is_dir()

    def test_modes_and_links_are_kept(
        self, local: Client, session: Session, project: Context, root: Path, elsewhere: Path
    ) -> None:
        (root / "run.sh").write_text("#!/bin/sh\n")
        (root / "run.sh").chmod(0o750)
        (root / "link").symlink_to("run.sh")
        session.context.sync()
        with local.sessions.create(**rooted(local, elsewhere), bind={"/": project}).session:
            assert (elsewhere / "run.sh").stat().st_mode & 0o777 == 0o750
            assert os.readlink(elsewhere / "link") == "run.sh"

    def test_a_file_of_many_bytes_is_the_same(
        self, local: Client, session: Session, project: Context, root: Path, elsewhere: Path
    ) -> None:
        content = os.urandom(3_000_000)
        (root / "big.bin").write_bytes(content)
        session.context.sync()
        with local.sessions.create(**rooted(local, elsewhere), bind={"/": project}).session:
            assert (elsewhere / "big.bin").read_bytes() == content

    def test_a_file_that_was_deleted_here_comes_back_with_a_download(self, session: Session, root: Path) -> None:
        (root / "a.txt").write_text("one")
        session.context.sync()
        (root / "a.txt").unlink()
        session.context.sync(mode="download")
        assert (root / "a.txt").read_text() == "one"

    def test_what_others_changed_comes_with_a_download(
        self, local: Client, session: Session, project: Context, root: Path, elsewhere: Path
    ) -> None:
        with local.sessions.create(**rooted(local, elsewhere), bind={"/": project}).session as other:
            (elsewhere / "a.txt").write_text("theirs")
            other.context.sync()
            result = session.context.sync(mode="download")
        assert (result.files, (root / "a.txt").read_text()) == (1, "theirs")


class TestClients:
    def test_it_outlives_the_client(self, tmp_path: Path, root: Path, elsewhere: Path) -> None:
        with Client.local(tmp_path / "kept") as first:
            context = first.contexts.get("project", create=True).context
            with first.sessions.create(root=root, bind={"/": context}).session:
                (root / "a.txt").write_text("one")
        with Client.local(tmp_path / "kept") as second:
            context = second.contexts.get("project").context
            with second.sessions.create(root=elsewhere, bind={"/": context}).session:
                assert (elsewhere / "a.txt").read_text() == "one"


class TestCreate:
    def test_without_a_root_the_service_chooses_one(self, local: Client, project: Context) -> None:
        session = local.sessions.create(bind={"/data": project}).session
        result = session.context.sync()
        assert result.success

    def test_a_root_may_be_relative(
        self, local: Client, project: Context, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(root.parent)
        (root / "a.txt").write_text("one")
        session = local.sessions.create(root="workspace", bind={"/": project}).session
        result = session.context.sync()
        assert result.files == 1

    def test_a_root_that_is_not_there_is_refused(self, local: Client, project: Context, tmp_path: Path) -> None:
        result = local.sessions.create(root=tmp_path / "nowhere", bind={"/": project})
        assert not result.success
        assert "nowhere" in result.error_message

    def test_asking_a_refusal_for_its_session_raises_why(self, local: Client, tmp_path: Path) -> None:
        result = local.sessions.create(root=tmp_path / "nowhere")
        with pytest.raises(ApiError, match="nowhere"):
            result.session  # noqa: B018  (reading it is the test)

    def test_a_context_that_is_not_there_is_refused(self, local: Client, root: Path) -> None:
        result = local.sessions.create(root=root, bind={"/": "SdkCtx-nothing"})
        with pytest.raises(NotFoundError):
            result.raise_for_error()

    def test_bindings_that_overlap_are_refused(self, local: Client, project: Context, root: Path) -> None:
        other = local.contexts.create("other").context
        result = local.sessions.create(root=root, bind={"/data": project, "/data/below": other})
        assert result.error_message.startswith("[InvalidBinding.Overlap]")

    def test_a_mount_path_that_is_not_absolute_is_refused(self, local: Client, project: Context, root: Path) -> None:
        with pytest.raises(ArgumentError, match="the mount path 'data' is not absolute: write '/data'"):
            local.sessions.create(root=root, bind={"data": project})

    def test_two_contexts_are_kept_apart(self, local: Client, project: Context, root: Path) -> None:
        other = local.contexts.create("other").context
        session = local.sessions.create(root=root, bind={"/one": project, "/two": other}).session
        (root / "one" / "a.txt").write_text("one")
        (root / "two" / "b.txt").write_text("two")
        session.context.sync()
        pages = [local.files.list(context, path) for context, path in ((project, "/one"), (other, "/two"))]
        assert [[file.path for file in page.files] for page in pages] == [["/one/a.txt"], ["/two/b.txt"]]

    def test_one_of_two_bindings_can_be_synced_alone(self, local: Client, project: Context, root: Path) -> None:
        other = local.contexts.create("other").context
        session = local.sessions.create(root=root, bind={"/one": project, "/two": other}).session
        result = session.context.sync(other.id, "/two")
        assert [task.path for task in result.tasks] == ["/two"]

    def test_a_session_without_bindings_has_nothing_to_sync(self, local: Client, root: Path) -> None:
        session = local.sessions.create(root=root).session
        result = session.context.sync(retry_interval=5)
        assert (result.success, result.nothing_to_sync) == (True, True)
        assert result.note == "no context is bound in the session: there was nothing to sync"

    def test_without_waiting_the_download_goes_on(self, local: Client, project: Context, root: Path) -> None:
        result = local.sessions.create(root=root, bind={"/": project}, wait=False)
        assert result.success


class TestPolicy:
    def test_without_automatic_download_a_session_begins_empty(
        self, local: Client, session: Session, project: Context, root: Path, elsewhere: Path
    ) -> None:
        (root / "a.txt").write_text("one")
        session.context.sync()
        local.sessions.create(root=elsewhere, bind={"/": Binding(project, BY_HAND)})
        assert list(elsewhere.iterdir()) == []

    def test_without_automatic_upload_a_session_ends_without(self, local: Client, project: Context, root: Path) -> None:
        with local.sessions.create(root=root, bind={"/": Binding(project, BY_HAND)}).session:
            (root / "a.txt").write_text("one")
        page = local.files.list(project)
        assert page.files == []

    def test_a_deleted_file_can_be_kept_in_the_context(self, local: Client, project: Context, root: Path) -> None:
        policy = SyncPolicy(delete=DeletePolicy(sync_local_file=False))
        session = local.sessions.create(root=root, bind={"/": Binding(project, policy)}).session
        (root / "a.txt").write_text("one")
        session.context.sync()
        (root / "a.txt").unlink()
        session.context.sync()
        page = local.files.list(project)
        assert [file.path for file in page.files] == ["/a.txt"]


class TestPlan:
    def test_it_tells_what_an_upload_would_do(self, session: Session, root: Path) -> None:
        (root / "a.txt").write_text("one")
        plan = session.context.plan()
        assert [(change.action, change.path, change.size) for change in plan.changes] == [("put", "a.txt", 3)]

    def test_it_does_nothing(self, local: Client, session: Session, project: Context, root: Path) -> None:
        (root / "a.txt").write_text("one")
        session.context.plan()
        page = local.files.list(project)
        assert page.files == []

    def test_a_binding_that_is_not_there_is_a_failure(self, session: Session, project: Context) -> None:
        plan = session.context.plan(project.id, "/nowhere")
        assert (plan.success, plan.changes) == (False, [])


class TestOtherServers:
    """What a session's life looks like on a server that does not name its tasks and chooses its own directories."""

    def test_it_waits_for_the_download_it_begins_with(self, server: ScriptedServer, client: Client) -> None:
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        server.script("GetContextInfo", listed(entry(task_type="download")))
        result = client.sessions.create(bind={"/data": "SdkCtx-1"})
        assert (result.session.session_id, len(server.asked("GetContextInfo"))) == ("s-1", 1)

    def test_a_download_that_shows_late_is_waited_for(self, server: ScriptedServer, client: Client) -> None:
        first = entry(path="/a", task_type="download")
        last = entry("Failed", path="/b", task_type="download", error="disk full")
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        server.script("GetContextInfo", listed(first), listed(first, last))
        result = client.sessions.create(bind={"/a": "SdkCtx-1", "/b": "SdkCtx-1"})
        assert result.error_message.endswith("SdkCtx-1 at /b: disk full")

    def test_a_download_that_failed_is_a_failure(self, server: ScriptedServer, client: Client) -> None:
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        server.script("GetContextInfo", listed(entry("Failed", task_type="download", error="disk full")))
        result = client.sessions.create(bind={"/data": "SdkCtx-1"})
        assert result.error_message.startswith("[Sync.Failed] the download of all bound contexts failed: ")

    def test_without_waiting_nothing_is_asked(self, server: ScriptedServer, client: Client) -> None:
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        client.sessions.create(bind={"/data": "SdkCtx-1"}, wait=False)
        assert server.asked("GetContextInfo") == []

    def test_a_root_that_it_takes_no_notice_of_is_a_failure_that_leaves_no_session(
        self, server: ScriptedServer, client: Client, root: Path
    ) -> None:
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", refused("InvalidMcpSession.NotFound"))
        result = client.sessions.create(server_root=root)
        assert result.error_message.startswith("[Session.RootIgnored]")
        assert server.asked("DeleteSessionAsync")[0].parameters == {"SessionId": "s-1"}

    @pytest.mark.parametrize(
        "answer",
        [
            refused("InvalidAction.NotFound", http_status=404),
            ok(),
            Raw(b"<h1>Not Found</h1>", 404, {"Content-Type": "text/html"}),
            Raw(b"", 405),
            Raw(b"rubbish", 200, {"Content-Type": "application/msgpack"}),
        ],
        ids=["unknown", "anything", "HTML", "nothing", "rubbish"],
    )
    def test_a_directory_of_this_machine_is_nothing_to_one_without_nodes_and_nothing_is_begun(
        self, server: ScriptedServer, client: Client, root: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
    ) -> None:
        monkeypatch.setattr("ctxmgr.node.node.FIRST_PATIENCE", 0.0)
        server.script("/node/hello", answer)
        result = client.sessions.create(root=root, bind={"/": "SdkCtx-1"})
        assert result.error_message.startswith("[Session.NoNodes] this service syncs no directory of another machine: ")
        assert {request.action for request in server.requests} == {"/node/hello"}

    def test_a_directory_that_is_not_there_sends_nothing(
        self, server: ScriptedServer, client: Client, root: Path
    ) -> None:
        with pytest.raises(ArgumentError, match="it must be a directory of this machine that exists"):
            client.sessions.create(root=root / "nowhere")
        with pytest.raises(ArgumentError, match="it must be a directory of this machine that exists"):
            client.sessions.attach("s-1", root / "nowhere")
        with pytest.raises(ArgumentError, match="give one"):
            client.sessions.create(root=root, server_root=root)
        assert server.requests == []

    def test_an_embedded_service_attaches_nothing(self, local: Client, root: Path) -> None:
        with pytest.raises(ArgumentError, match="is in this process"):
            local.sessions.attach("s-1", root)

    def test_bindings_are_written_as_agentbay_reads_them(self, server: ScriptedServer, client: Client) -> None:
        server.script("CreateMcpSession", ok({"SessionId": "s-1"}))
        client.sessions.create(bind={"/data": Binding("SdkCtx-1", SyncPolicy())}, wait=False)
        (binding,) = json.loads(server.requests[0].parameters["PersistenceDataList"])
        assert json.loads(binding.pop("Policy")) == {
            "uploadPolicy": {
                "autoUpload": True,
                "uploadStrategy": "UploadBeforeResourceRelease",
                "uploadMode": "File",
            },
            "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
            "deletePolicy": {"syncLocalFile": True},
        }
        assert binding == {"ContextId": "SdkCtx-1", "Path": "/data"}

    def test_a_session_has_ended_when_it_is_finished(self, server: ScriptedServer, client: Client) -> None:
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", ok({"Status": "DELETING"}), ok({"Status": "FINISH"}))
        result = client.session("s-1").delete()
        assert (result.success, len(server.asked("GetSessionDetail"))) == (True, 2)

    def test_a_session_has_ended_when_it_is_unknown(self, server: ScriptedServer, client: Client) -> None:
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", ok({"Status": "DELETING"}), refused("InvalidMcpSession.NotFound"))
        result = client.session("s-1").delete()
        assert result.success

    def test_a_session_that_stays_says_why(self, server: ScriptedServer, client: Client) -> None:
        server.script("DeleteSessionAsync", ok())
        stays = ok({"Status": "RUNNING", "EndReason": "not deleted: the upload of /data failed: disk full"})
        server.script("GetSessionDetail", ok({"Status": "DELETING"}), stays)
        result = client.session("s-1").delete()
        assert result.error_message == "[Session.NotDeleted] not deleted: the upload of /data failed: disk full"


class TestList:
    def test_a_session_is_found_by_its_labels(self, local: Client, root: Path, elsewhere: Path) -> None:
        wanted = local.sessions.create(root=root, labels={"team": "blue", "stage": "test"}).session
        local.sessions.create(root=elsewhere, labels={"team": "red", "stage": "test"})
        page = local.sessions.list(labels={"team": "blue"})
        assert [info.session_id for info in page.sessions] == [wanted.session_id]

    def test_going_through_all_turns_the_pages(self, local: Client) -> None:
        made = set()
        for _ in range(3):
            session = local.sessions.create().session
            made.add(session.session_id)
        found = set()
        for info in local.sessions.iter():
            found.add(info.session_id)
        assert found == made

    def test_a_page_leads_to_the_next(self, local: Client) -> None:
        for _ in range(3):
            local.sessions.create()
        first = local.sessions.list(max_results=2)
        second = local.sessions.list(max_results=2, next_token=first.next_token)
        assert (len(first.sessions), len(second.sessions), second.next_token) == (2, 1, "")


class TestCallbacksAtTheEnd:
    """What was begun in a session has ended, and its callbacks have been called, before the session is deleted."""

    @pytest.mark.parametrize("kept", SERVICES, indirect=True)
    def test_leaving_it_calls_them_with_the_truth(self, local: Client, project: Context, root: Path) -> None:
        called = Called(3)
        with local.sessions.create(**rooted(local, root), bind={"/": project}).session as session:
            (root / "file").write_text("new")
            for _ in range(3):
                session.context.sync(callback=called)
        assert called.calls == [True] * 3

    @pytest.mark.parametrize("kept", [EMBEDDED, THERE], indirect=True)
    def test_a_sync_that_fails_is_told_as_that(self, local: Client, project: Context, root: Path) -> None:
        called = Called()
        with local.sessions.create(**rooted(local, root), bind={"/": project}).session as session:
            root.rmdir()
            session.context.sync(callback=called)
        assert called.calls == [False]

    @pytest.mark.parametrize("kept", SERVICES, indirect=True)
    def test_deleting_it_calls_them_too(self, local: Client, project: Context, root: Path) -> None:
        called = Called()
        session = local.sessions.create(**rooted(local, root), bind={"/": project}).session
        local.session(session.session_id).context.sync(callback=called)
        result = session.delete()
        assert (result.success, called.calls) == (True, [True])

    @pytest.mark.parametrize("kept", SERVICES, indirect=True)
    def test_an_error_in_the_body_does_not_lose_them(self, local: Client, project: Context, root: Path) -> None:
        called = Called()
        session = local.sessions.create(**rooted(local, root), bind={"/": project}).session
        session.context.sync(callback=called)
        session.__exit__(ValueError, ValueError("of the body"), None)
        assert called.calls == [True]

    def test_on_another_server_the_session_is_deleted_after_the_last_poll(
        self, server: ScriptedServer, client: Client
    ) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), listed(entry("Running", task_id="t-1")), listed(entry(task_id="t-1")))
        server.script("DeleteSessionAsync", ok())
        server.script("GetSessionDetail", refused("InvalidMcpSession.NotFound"))
        called = Called()
        with client.session("s-1") as session:
            session.context.sync(callback=called)
        assert called.calls == [True]
        assert [request.action for request in server.requests][-2:] == ["DeleteSessionAsync", "GetSessionDetail"]

    def test_closing_the_client_meanwhile_ends_the_waiting(self, server: ScriptedServer, client: Client) -> None:
        server.script("SyncContext", started("t-1"))
        server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        called = Called()
        session = client.session("s-1")
        client.close()
        session.context.sync(callback=called)
        with pytest.raises(ClosedError):
            session.delete()
        assert called.calls == [False]


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestDelete:
    def test_its_end_uploads_what_is_new(self, local: Client, project: Context, root: Path) -> None:
        with local.sessions.create(**rooted(local, root), bind={"/": project}).session:
            (root / "a.txt").write_text("one")
        page = local.files.list(project)
        assert [file.path for file in page.files] == ["/a.txt"]

    def test_it_is_gone_afterwards(self, local: Client, root: Path) -> None:
        session = local.sessions.create(**rooted(local, root)).session
        deleted = session.delete()
        result = session.context.info()
        assert (deleted.success, result.error_message.partition("]")[0]) == (True, "[InvalidMcpSession.NotFound")

    def test_a_directory_of_ones_own_stays(self, local: Client, project: Context, root: Path) -> None:
        with local.sessions.create(**rooted(local, root), bind={"/": project}).session:
            (root / "a.txt").write_text("one")
        assert (root / "a.txt").read_text() == "one"

    def test_what_is_uploaded_by_hand_can_be_uploaded_at_the_end(
        self, local: Client, project: Context, root: Path
    ) -> None:
        session = local.sessions.create(**rooted(local, root), bind={"/": Binding(project, BY_HAND)}).session
        (root / "a.txt").write_text("one")
        session.delete(sync_context=True)
        page = local.files.list(project)
        assert [file.path for file in page.files] == ["/a.txt"]

    def test_a_session_that_is_not_there_is_a_failure(self, local: Client) -> None:
        result = local.session("s-nothing").delete()
        assert result.error_message.startswith("[InvalidMcpSession.NotFound]")

    def test_an_error_in_the_body_is_not_hidden_by_the_end(self, local: Client, project: Context, root: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            fail_in_a_session_that_cannot_end(local, project, root)

    def test_an_id_that_is_none_is_refused(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="session_id is ''"):
            local.session("")
