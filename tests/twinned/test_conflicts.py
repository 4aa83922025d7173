"""What a sync says of versions that lost and of local changes that it kept, and how a download gives those up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctxmgr import (
    ArgumentError,
    ArgumentTypeError,
    Binding,
    Client,
    Conflict,
    Context,
    ContextManager,
    DownloadPolicy,
    Session,
    SyncPolicy,
    UploadPolicy,
)
from ctxmgr.arguments import SyncMode
from tests.support.answers import entry, listed, ok, started
from tests.support.scripted import ScriptedServer

from .called import Called
from .services import SERVICES, rooted

ON_DEMAND = SyncPolicy(upload=UploadPolicy(auto_upload=False), download=DownloadPolicy(auto_download=False))


def fill(root: Path, **files: str) -> None:
    """Make a directory hold exactly these files; one that is so already keeps its time."""
    root.mkdir(exist_ok=True)
    there = held(root)
    for name in there.keys() - files.keys():
        (root / name).unlink()
    for name, text in files.items():
        if there.get(name) != text:
            (root / name).write_text(text)


def held(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in root.iterdir()}


def at(client: Client, context: Context, root: Path) -> Session:
    """A session in which nothing is synced by itself."""
    root.mkdir(exist_ok=True)
    return client.sessions.create(**rooted(client, root), bind={"/": Binding(context, ON_DEMAND)}).session


def fetched(client: Client, conflict: Conflict, target: Path) -> str:
    """The version that lost, had as the conflict says."""
    client.files.download(
        conflict.context_id, conflict.context_path, target, revision=conflict.revision
    ).raise_for_error()
    return target.read_text()


def parted(client: Client, context: Context, tmp_path: Path) -> Session:
    """A session at "two", whose file the context has had changed since: both sides differ from what they shared."""
    one, two = at(client, context, tmp_path / "one"), at(client, context, tmp_path / "two")
    fill(tmp_path / "one", f="base", g="same")
    one.context.sync().raise_for_error()
    two.context.sync(mode="download").raise_for_error()
    fill(tmp_path / "one", f="of one", g="same")
    one.context.sync().raise_for_error()
    return two


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_an_upload_names_the_version_of_the_context_that_it_replaced(
    local: Client, project: Context, tmp_path: Path
) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", f="of two", g="same")
    result = two.context.sync()
    (conflict,) = result.conflicts
    assert conflict == Conflict(
        path="f", winner="local", kind="file", revision=2, context_path="/f", context_id=project.id, mount="/"
    )
    assert (result.conflicts_total, result.revision) == (1, 3)
    assert fetched(local, conflict, tmp_path / "lost") == "of one"


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_download_names_the_local_version_that_it_replaced(local: Client, project: Context, tmp_path: Path) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", f="of two", g="same")
    result = two.context.sync(mode="download")
    (conflict,) = result.conflicts
    assert (conflict.path, conflict.winner, conflict.kind) == ("f", "context", "file")
    assert held(tmp_path / "two") == {"f": "of one", "g": "same"}
    assert fetched(local, conflict, tmp_path / "lost") == "of two"


@pytest.mark.parametrize("mode", ["upload", "download"])
@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_change_against_a_deletion_is_a_conflict(
    local: Client, project: Context, tmp_path: Path, mode: SyncMode
) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", g="same")
    (conflict,) = two.context.sync(mode=mode).conflicts
    assert conflict.path == "f"
    if mode == "upload":
        assert fetched(local, conflict, tmp_path / "lost") == "of one"
    else:
        assert (conflict.kind, conflict.revision) == ("", 0)
        assert held(tmp_path / "two") == {"f": "of one", "g": "same"}


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_local_change_to_what_the_context_deleted_is_a_conflict(
    local: Client, project: Context, tmp_path: Path
) -> None:
    two = parted(local, project, tmp_path)
    with at(local, project, tmp_path / "one") as one:
        fill(tmp_path / "one", g="same")
        one.context.sync().raise_for_error()
    fill(tmp_path / "two", f="of two", g="same")
    (conflict,) = two.context.sync(mode="download").conflicts
    assert held(tmp_path / "two") == {"g": "same"}
    assert fetched(local, conflict, tmp_path / "lost") == "of two"


@pytest.mark.parametrize("mode", ["upload", "download"])
@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_the_first_sync_of_a_directory_names_the_files_that_it_replaces(
    local: Client, project: Context, tmp_path: Path, mode: SyncMode
) -> None:
    with at(local, project, tmp_path / "one") as one:
        fill(tmp_path / "one", f="of one", g="same", only="one")
        one.context.sync().raise_for_error()
    two = at(local, project, tmp_path / "two")
    fill(tmp_path / "two", f="of two", g="same", mine="two")
    result = two.context.sync(mode=mode)
    (conflict,) = result.conflicts
    assert conflict.path == "f"
    assert fetched(local, conflict, tmp_path / "lost") == ("of one" if mode == "upload" else "of two")


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_file_of_the_same_content_and_another_time_is_no_conflict(
    local: Client, project: Context, tmp_path: Path
) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", f="of one", g="same")
    os.utime(tmp_path / "two" / "f", (1, 1))
    result = two.context.sync(mode="download")
    assert (result.success, result.conflicts) == (True, [])


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_plan_names_the_conflicts_and_the_local_changes_that_stay(
    local: Client, project: Context, tmp_path: Path
) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", f="of two", g="broken", new="new")
    up, down = two.context.plan(mode="upload"), two.context.plan(mode="download")
    assert [(each.path, each.winner, each.revision) for each in up.conflicts] == [("f", "local", 2)]
    assert [(each.path, each.winner, each.revision) for each in down.conflicts] == [("f", "context", 0)]
    assert (up.kept_local, down.kept_local) == (0, 2)
    forced = two.context.plan(mode="download", discard_local=True)
    assert sorted(each.path for each in forced.conflicts) == ["f", "g", "new"]
    assert forced.kept_local == 0
    assert held(tmp_path / "two") == {"f": "of two", "g": "broken", "new": "new"}


def test_conflicts_are_told_after_a_restart(local: Client, project: Context, tmp_path: Path) -> None:
    two = parted(local, project, tmp_path)
    fill(tmp_path / "two", f="of two", g="same")
    told = two.context.sync().conflicts
    local.close()
    with Client.local(tmp_path / "data") as again:
        status = again.session(two.session_id).context.info(task_type="upload").context_status_data
    assert [list(task.conflicts) for task in status] == [told]


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_download_tells_how_many_local_changes_it_kept(local: Client, project: Context, tmp_path: Path) -> None:
    session = at(local, project, tmp_path / "one")
    fill(tmp_path / "one", f="f", g="g")
    session.context.sync().raise_for_error()
    fill(tmp_path / "one", f="broken")
    result = session.context.sync(mode="download")
    assert (result.nothing_to_sync, result.kept_local) == (True, 2)
    assert held(tmp_path / "one") == {"f": "broken"}


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_a_download_that_discards_restores_the_directory_and_keeps_what_was_there(
    local: Client, project: Context, tmp_path: Path
) -> None:
    session = at(local, project, tmp_path / "one")
    fill(tmp_path / "one", f="f", g="g")
    session.context.sync().raise_for_error()
    fill(tmp_path / "one", f="broken", new="new")
    result = session.context.sync(mode="download", discard_local=True)
    assert held(tmp_path / "one") == {"f": "f", "g": "g"}
    assert (result.success, result.kept_local) == (True, 0)
    assert sorted(each.path for each in result.conflicts) == ["f", "new"]
    lost = {each.path: fetched(local, each, tmp_path / "lost") for each in result.conflicts}
    assert lost == {"f": "broken", "new": "new"}
    names = sorted(file.name for file in local.files.list(project).files)
    assert names == ["f", "g"]
    assert session.context.sync().nothing_to_sync


def test_an_upload_can_discard_nothing(manager: ContextManager, server: ScriptedServer) -> None:
    for mode in ("upload", None):
        with pytest.raises(ArgumentError, match="discard_local needs mode='download'"):
            manager.sync(mode=mode, discard_local=True)
        with pytest.raises(ArgumentError, match="discard_local needs mode='download'"):
            manager.plan(mode=mode, discard_local=True)
    with pytest.raises(ArgumentTypeError, match="discard_local is 'yes'"):
        manager.sync(mode="download", discard_local="yes")  # type: ignore[arg-type]  # as an untyped caller might
    assert server.requests == []


def test_nothing_is_begun_where_the_server_does_not_say_that_it_can_discard(
    manager: ContextManager, server: ScriptedServer
) -> None:
    server.script("GetContextInfo", listed())
    for result in (
        manager.sync(mode="download", discard_local=True),
        manager.plan(mode="download", discard_local=True),
    ):
        assert not result.success
        assert result.error_message.startswith("[Sync.Unsupported] this server does not say that it can discard")
    assert {request.action for request in server.requests} == {"GetContextInfo"}


def test_a_callback_learns_that_a_server_can_not_discard(manager: ContextManager, server: ScriptedServer) -> None:
    server.script("GetContextInfo", listed())
    called = Called()
    result = manager.sync(mode="download", discard_local=True, callback=called)
    assert (result.success, result.pending) == (False, False)
    called.wait()
    assert called.calls == [False]
    assert {request.action for request in server.requests} == {"GetContextInfo"}


def test_a_server_that_can_discard_is_asked_to(manager: ContextManager, server: ScriptedServer) -> None:
    server.script(
        "GetContextInfo",
        ok({"ContextStatus": "", "Extensions": ["DiscardLocal"]}),
        listed(entry(task_type="download", task_id="t-1")),
    )
    server.script("SyncContext", started("t-1"))
    assert manager.sync(mode="download", discard_local=True).success
    (asked,) = [request for request in server.requests if request.action == "SyncContext"]
    assert asked.parameters["DiscardLocal"] == "true"


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
def test_the_downloads_that_a_session_or_a_binding_begins_with_name_what_they_replace(
    local: Client, project: Context, tmp_path: Path
) -> None:
    with at(local, project, tmp_path / "one") as one:
        fill(tmp_path / "one", f="of one")
        one.context.sync().raise_for_error()
    fill(tmp_path / "two", f="of two")
    created = local.sessions.create(**rooted(local, tmp_path / "two"), bind={"/": project})
    assert [fetched(local, each, tmp_path / "lost") for each in created.conflicts] == ["of two"]
    fill(tmp_path / "three", f="of three")
    with local.sessions.create(**rooted(local, tmp_path / "three")).session as session:
        bound = session.context.bind({"/": project})
    assert [fetched(local, each, tmp_path / "lost") for each in bound.conflicts] == ["of three"]
