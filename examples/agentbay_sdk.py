"""AgentBay's own SDK, as it is on PyPI, with the contexts of a `ctxmgr serve`.

In an environment of the server's:

    export CTXMGR_API_KEY=any-text-that-is-hard-to-guess
    ctxmgr serve --data contexts --tls-cert server.pem --tls-key server.key

In an environment with wuying-agentbay-sdk 0.22.3, which speaks HTTPS only and so must trust that certificate:

    export AGENTBAY_API_KEY=the-same-text SSL_CERT_FILE=ca.pem REQUESTS_CA_BUNDLE=ca.pem
    python examples/agentbay_sdk.py localhost:8700 contexts/sessions

The second argument is where the server has its sessions' directories: what runs in a sandbox elsewhere, this script
does there. examples/agentbay_sdk_async.py is the same for asyncio.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from agentbay import (
    AgentBay,
    AgentBayError,
    AgentBayLogger,
    BWList,
    Config,
    ContextListParams,
    ContextSync,
    CreateSessionParams,
    DeletePolicy,
    SyncPolicy,
    WhiteList,
)

MOUNT = "/work"


def main(endpoint: str, sessions: str) -> None:
    AgentBayLogger.setup(level="CRITICAL", enable_file=False)
    agent_bay = AgentBay(os.environ["AGENTBAY_API_KEY"], cfg=Config(endpoint=endpoint))
    context = manage_contexts(agent_bay)
    put_by_url(agent_bay, context.id, f"{MOUNT}/by-url.txt", b"put by URL")
    work_in_a_session(agent_bay, context.id, Path(sessions))
    find_it_again(agent_bay, context.id, Path(sessions))
    with TemporaryDirectory() as local:
        transfer_files(agent_bay, Path(sessions), Path(local))
    what_is_refused(agent_bay, context.id)
    clear_and_delete(agent_bay, context)
    print("done")


def manage_contexts(agent_bay: AgentBay) -> Any:
    """Create, get, list and rename contexts."""
    context = good(agent_bay.context.create("sdk-draft")).context
    assert good(agent_bay.context.get("sdk-draft")).context.id == context.id
    assert not agent_bay.context.get("sdk-none").success
    others = [good(agent_bay.context.get(f"sdk-{number}", create=True)).context for number in range(4)]

    listed, token, pages = [], "", 0
    while pages == 0 or token:
        page = good(agent_bay.context.list(ContextListParams(max_results=2, next_token=token or None)))
        assert page.total_count == 5
        listed += [item.name for item in page.contexts]
        token, pages = page.next_token, pages + 1
    assert sorted(listed) == ["sdk-0", "sdk-1", "sdk-2", "sdk-3", "sdk-draft"]
    assert pages == 3

    context.name = "sdk-project"
    good(agent_bay.context.update(context))
    assert good(agent_bay.context.get("sdk-project")).context.id == context.id
    for other in others:
        good(agent_bay.context.delete(other))
    print(f"contexts: listed {len(listed)} in {pages} pages, renamed {context.id}")
    return context


def put_by_url(agent_bay: AgentBay, context_id: str, path: str, content: bytes) -> None:
    """Put a file by URL, and get it back by another."""
    put = good(agent_bay.context.get_file_upload_url(context_id, path))
    requests.put(put.url, data=content, timeout=30).raise_for_status()
    get = good(agent_bay.context.get_file_download_url(context_id, path))
    assert requests.get(get.url, timeout=30).content == content
    print(f"files: put {path} by URL")


def work_in_a_session(agent_bay: AgentBay, context_id: str, sessions: Path) -> None:
    """Create a session, wait for its download, sync, look, and delete it with a last sync."""
    bound = ContextSync.new(context_id, MOUNT, policy())
    labels = {"project": "sdk"}
    session = good(agent_bay.create(CreateSessionParams(labels=labels, context_syncs=[bound]))).session
    folder = sessions / session.session_id / MOUNT.lstrip("/")
    assert (folder / "by-url.txt").read_bytes() == b"put by URL", "creating a session waits for its download"
    (downloaded,) = good(session.context.info(task_type="download")).context_status_data
    assert (downloaded.status, downloaded.path) == ("Success", MOUNT)

    assert [item["sessionId"] for item in good(agent_bay.list(labels=labels)).session_ids] == [session.session_id]
    assert good(agent_bay.get(session.session_id)).session.session_id == session.session_id
    good(session.set_labels({**labels, "step": "two"}))
    assert good(session.get_labels()).data == {**labels, "step": "two"}
    assert [item.context_id for item in good(session.context.list_bindings()).bindings] == [context_id]

    (folder / "notes").mkdir()
    (folder / "notes" / "first.txt").write_text("first")
    (folder / "cache").mkdir()
    (folder / "cache" / "big.bin").write_bytes(bytes(1000))
    good(session.context.sync())
    uploaded = good(session.context.info(context_id=context_id, path=MOUNT, task_type="upload")).context_status_data
    assert [item.status for item in uploaded] == ["Success"]
    assert names(agent_bay, context_id, MOUNT) == ["by-url.txt", "notes"], "the white list leaves cache out"
    assert names(agent_bay, context_id, f"{MOUNT}/notes") == ["first.txt"]

    more = good(agent_bay.context.create("sdk-more")).context
    good(session.context.bind(ContextSync.new(more.id, "/more")))
    (sessions / session.session_id / "more" / "late.txt").write_text("bound late")
    good(session.context.sync(more.id, "/more", mode="upload"))
    assert names(agent_bay, more.id, "/more") == ["late.txt"]

    (folder / "notes" / "last.txt").write_text("last")
    good(agent_bay.delete(session, sync_context=True))
    assert not agent_bay.get(session.session_id).success
    good(agent_bay.context.delete(more))
    print(f"session {session.session_id}: downloaded, uploaded, deleted")


def find_it_again(agent_bay: AgentBay, context_id: str, sessions: Path) -> None:
    """Find in a second session what the first one left, and delete a file of it."""
    bound = ContextSync.new(context_id, MOUNT, policy())
    session = good(agent_bay.create(CreateSessionParams(context_syncs=[bound]))).session
    folder = sessions / session.session_id / MOUNT.lstrip("/")
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {"by-url.txt": "put by URL", "notes/first.txt": "first", "notes/last.txt": "last"}, found
    good(agent_bay.context.delete_file(context_id, f"{MOUNT}/notes/first.txt"))
    good(session.context.sync(mode="download"))
    assert not (folder / "notes" / "first.txt").exists()
    good(session.delete())
    print(f"session {session.session_id}: found {len(found)} files")


def transfer_files(agent_bay: AgentBay, sessions: Path, local: Path) -> None:
    """Send single files into a session, and get what became of them there."""
    session = good(agent_bay.create(CreateSessionParams())).session
    inside = session.file_system.get_file_transfer_context_path()
    assert inside is not None
    folder = sessions / session.session_id / inside.lstrip("/")

    for content in ("first", "second"):
        (local / "in.txt").write_text(content)
        good(session.file_system.upload_file(str(local / "in.txt"), f"{inside}/deep/in.txt"))
        assert (folder / "deep" / "in.txt").read_text() == content
    (folder / "out.bin").write_bytes(bytes(range(256)) * 4096)
    (folder / "stays.txt").write_text("not asked for")
    got = good(session.file_system.download_file(f"{inside}/out.bin", str(local / "out.bin")))
    assert got.bytes_received == 1 << 20
    assert (local / "out.bin").read_bytes() == (folder / "out.bin").read_bytes()
    missing = session.file_system.download_file(f"{inside}/none", str(local / "none"), wait_timeout=2)
    assert not missing.success
    assert not (local / "none").exists()

    transfer = good(session.context.info(path=f"{inside}/out.bin")).context_status_data
    assert [(item.path, item.task_type, item.status) for item in transfer] == [
        (f"{inside}/out.bin", "upload", "Success")
    ]
    assert names(agent_bay, transfer[0].context_id, inside) == ["deep", "out.bin"]
    good(session.delete())
    print(f"session {session.session_id}: sent and got files")


def what_is_refused(agent_bay: AgentBay, context_id: str) -> None:
    """Be refused what a directory can't do."""
    bound = ContextSync.new(context_id, MOUNT, policy())
    session = good(agent_bay.create(CreateSessionParams(context_syncs=[bound]))).session
    refused = session.command.execute_command("ls")
    assert not refused.success, "there is no sandbox behind a session"
    assert "UnsupportedAction" in refused.error_message, refused.error_message
    told = ""
    try:
        session.get_link()
    except AgentBayError as error:
        told = str(error)
    assert "UnsupportedAction" in told, "there is nothing to be linked to"
    again = session.context.bind(bound)
    assert "PathAlreadyBound" in again.error_message, again.error_message
    good(session.delete())
    skilled = agent_bay.create(CreateSessionParams(load_skills=True))
    assert "UnsupportedParameter" in skilled.error_message, skilled.error_message
    print("refused what a directory can't do")


def clear_and_delete(agent_bay: AgentBay, context: Any) -> None:
    """Clear the context, which waits until that is done, and delete it."""
    assert good(agent_bay.context.clear(context.id)).status == "available"
    assert names(agent_bay, context.id, "/") == []
    good(agent_bay.context.delete(context))
    assert not agent_bay.context.get("sdk-project").success
    print(f"contexts: cleared and deleted {context.id}")


def policy() -> SyncPolicy:
    """Keep everything but the cache, and delete nothing from the context that was deleted in the session."""
    kept = BWList(white_lists=[WhiteList(path="", exclude_paths=["cache"])])
    return SyncPolicy(bw_list=kept, delete_policy=DeletePolicy(sync_local_file=False))


def names(agent_bay: AgentBay, context_id: str, folder: str) -> list[str]:
    return sorted(entry.file_name for entry in good(agent_bay.context.list_files(context_id, folder)).entries)


def good(result: Any) -> Any:
    """Return back a result that is one."""
    assert result.success, f"{type(result).__name__}: {getattr(result, 'error_message', '')}"
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
