"""Bindings of a running session, labels, and the end by force, on the embedded service."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ctxmgr import (
    ArgumentError,
    Binding,
    Client,
    Context,
    ContextManager,
    DownloadPolicy,
    NotFoundError,
    Session,
    SyncPolicy,
)
from tests.support.answers import entry, listed, ok, refused
from tests.support.scripted import ScriptedServer

from .called import Called
from .services import SERVICES, rooted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture
def session(local: Client, root: Path) -> Session:
    return local.sessions.create(**rooted(local, root), labels={"team": "a"}).session


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestSyncOfOneContext:
    def test_is_named_by_the_context_itself(self, session: Session, project: Context, root: Path) -> None:
        session.context.bind({"/a": project, "/b": project})
        (root / "a" / "one").write_text("one")
        (root / "b" / "two").write_text("two")
        result = session.context.sync(project, "/a")
        assert [(task.path, task.files) for task in result.tasks] == [("/a", 1)]
        planned = session.context.plan(project, "/b")
        assert [change.path for change in planned.changes] == ["two"]
        told = session.context.info(project, "/a", "upload")
        assert [task.path for task in told.context_status_data] == ["/a"]

    @pytest.mark.parametrize("by_id", [False, True])
    def test_without_a_path_is_that_of_its_binding(
        self, session: Session, project: Context, root: Path, by_id: bool
    ) -> None:
        session.context.bind({"/a": project})
        (root / "a" / "one").write_text("one")
        result = session.context.sync(project.id if by_id else project)
        assert [(task.path, task.files) for task in result.tasks] == [("/a", 1)]

    def test_without_a_path_is_refused_where_it_is_bound_at_several(self, session: Session, project: Context) -> None:
        session.context.bind({"/a": project, "/b": project})
        result = session.context.sync(project)
        assert result.error_message.startswith("[Sync.Ambiguous]")
        assert "'/a' and '/b'" in result.error_message

    def test_in_the_background_is_told_the_same(self, session: Session, project: Context) -> None:
        called = Called()
        result = session.context.sync(project, callback=called)
        assert result.error_message.startswith("[InvalidBinding.NotFound]")
        called.wait()
        assert called.calls == [False]

    def test_by_its_name_says_what_an_id_looks_like(self, local: Client, session: Session, project: Context) -> None:
        session.context.bind({"/a": project})
        alone = session.context.sync("project")
        assert "client.contexts.get('project').context.id" in alone.error_message
        with_path = session.context.sync("project", "/a")
        assert "that looks like a name, and ids look like SdkCtx-…" in with_path.error_message
        bound = session.context.bind({"/b": "project"})
        assert "that looks like a name, and ids look like SdkCtx-…" in bound.error_message
        unbound = session.context.unbind("project", "/a", sync=False)
        assert "that looks like a name, and ids look like SdkCtx-…" in unbound.error_message
        deleted = local.contexts.delete("project")
        assert "that looks like a name, and ids look like SdkCtx-…" in deleted.error_message


class TestBind:
    def test_what_the_context_holds_is_there_when_it_returns(
        self, local: Client, session: Session, project: Context, root: Path
    ) -> None:
        local.files.upload(project, "/work/a", b"text")
        result = session.context.bind({"/work": project})
        assert result.success
        assert (root / "work" / "a").read_bytes() == b"text"

    def test_without_a_download_there_is_nothing_to_wait_for(
        self, local: Client, session: Session, project: Context, root: Path
    ) -> None:
        local.files.upload(project, "/work/a", b"text")
        by_hand = SyncPolicy(download=DownloadPolicy(auto_download=False))
        result = session.context.bind({"/work": Binding(project, by_hand)})
        assert result.success
        assert not (root / "work" / "a").exists()

    def test_a_context_that_is_not_there_is_a_failure(self, session: Session) -> None:
        result = session.context.bind({"/": "SdkCtx-absent"})
        with pytest.raises(NotFoundError):
            result.raise_for_error()

    def test_a_path_that_is_not_absolute_is_an_error_of_the_caller(self, session: Session, project: Context) -> None:
        with pytest.raises(ArgumentError, match="absolute"):
            session.context.bind({"work": project})


class TestListBindings:
    def test_each_is_told_with_its_context_and_path(self, session: Session, project: Context) -> None:
        session.context.bind({"/work": project})
        result = session.context.list_bindings()
        assert [(bound.context_id, bound.context_name, bound.path) for bound in result.bindings] == [
            (project.id, "project", "/work")
        ]

    def test_those_of_no_session_are_a_failure(self, local: Client) -> None:
        result = local.session("s-absent").context.list_bindings()
        assert result.error_message.startswith("[InvalidMcpSession.NotFound]")


class TestUnbind:
    def test_it_uploads_first_and_leaves_the_files(
        self, local: Client, session: Session, project: Context, root: Path
    ) -> None:
        session.context.bind({"/work": project})
        (root / "work" / "last.txt").write_text("last")
        result = session.context.unbind(project, "/work")
        assert result.success
        listed = session.context.list_bindings()
        assert listed.bindings == []
        assert (root / "work" / "last.txt").exists()
        page = local.files.list(project, "/work")
        assert [file.name for file in page.files] == ["last.txt"]

    def test_if_the_upload_fails_the_context_stays_bound(self, session: Session, project: Context, root: Path) -> None:
        session.context.bind({"/work": project})
        shutil.rmtree(root / "work")
        result = session.context.unbind(project, "/work")
        assert (result.success, "does not exist" in result.error_message) == (False, True)
        listed = session.context.list_bindings()
        assert len(listed.bindings) == 1
        unsynced = session.context.unbind(project, "/work", sync=False)
        assert unsynced.success

    def test_what_is_not_bound_is_a_failure(self, session: Session, project: Context) -> None:
        result = session.context.unbind(project, "/", sync=False)
        with pytest.raises(NotFoundError):
            result.raise_for_error()


class TestLabels:
    def test_they_are_told_and_replaced(self, local: Client, session: Session) -> None:
        before = session.get_labels()
        assert before.labels == {"team": "a"}
        changed = session.set_labels({"team": "b", "stage": "test"})
        assert changed.success
        after = session.get_labels()
        assert after.labels == {"team": "b", "stage": "test"}
        found = local.sessions.list(labels={"stage": "test"})
        assert [each.session_id for each in found.sessions] == [session.session_id]

    def test_those_of_no_session_are_a_failure(self, local: Client) -> None:
        session = local.session("s-absent")
        told, changed = session.get_labels(), session.set_labels({"a": "b"})
        assert not told.success
        assert not changed.success


class TestForce:
    def test_a_session_whose_upload_fails_stays_until_it_is_forced(
        self, session: Session, project: Context, root: Path
    ) -> None:
        session.context.bind({"/work": project})
        shutil.rmtree(root / "work")
        (root / "work").write_text("no directory")
        refused = session.delete()
        assert "the upload of /work failed" in refused.error_message
        forced = session.delete(force=True)
        assert forced.success
        gone = session.context.list_bindings()
        assert not gone.success


class TestWithoutTaskIds:
    def test_binding_waits_for_the_download_to_show(self, manager: ContextManager, server: ScriptedServer) -> None:
        server.script("BindContexts", ok())
        server.script("GetContextInfo", listed(), listed(entry("Success", path="/", task_type="download")))
        result = manager.bind({"/": "SdkCtx-1"})
        assert result.success
        assert len(server.asked("GetContextInfo")) == 2

    def test_a_download_of_another_binding_is_no_evidence(
        self, manager: ContextManager, server: ScriptedServer
    ) -> None:
        stale = entry("Success", path="/a", task_type="download")
        failed = entry("Failed", path="/b", task_type="download", error="disk full")
        server.script("BindContexts", ok())
        server.script("GetContextInfo", listed(stale), listed(stale), listed(stale, failed))
        result = manager.bind({"/b": "SdkCtx-1"})
        assert result.error_message.endswith("SdkCtx-1 at /b: disk full")

    def test_a_download_of_before_is_no_evidence(self, manager: ContextManager, server: ScriptedServer) -> None:
        stale = entry("Success", path="/a", task_type="download", start=100)
        failed = entry("Failed", path="/a", task_type="download", error="disk full")
        server.script("BindContexts", ok())
        server.script("GetContextInfo", listed(stale), listed(stale), listed(failed))
        result = manager.bind({"/a": "SdkCtx-1"})
        assert result.error_message.endswith("SdkCtx-1 at /a: disk full")

    def test_without_a_look_at_what_is_listed_nothing_is_bound(
        self, manager: ContextManager, server: ScriptedServer
    ) -> None:
        server.script("GetContextInfo", refused("InvalidMcpSession.NotFound", "no such session"))
        result = manager.bind({"/": "SdkCtx-1"})
        assert result.error_message == "[InvalidMcpSession.NotFound] no such session"
        assert server.asked("BindContexts") == []
