"""``ctxmgr serve`` and ``ctxmgr key`` as processes: what is printed, who is let in, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests
import trustme

from ctxmgr import Client
from ctxmgr.engine.workspace.locks import held
from ctxmgr.service import ContextService
from ctxmgr.service.storage.datafolder import DataFolder

from .asking import PATIENCE, Asker, entries, until
from .serving import environment_with, serving

pytestmark = pytest.mark.slow


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ctxmgr", *arguments],
        env=environment_with(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def key(folder: Path) -> str:
    with closing(ContextService.open(folder)) as service:
        return service.keys.create("test", "local")[1]


def test_a_client_with_a_key_syncs_against_it(folder: Path, key: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("content")
    with serving(folder, "--root", str(root)) as server, Client(endpoint=server.address, api_key=key) as client:
        context = client.contexts.get("project", create=True).context
        with client.sessions.create(root=str(root), bind={"/": context}).session as session:
            assert session.context.sync().success
        assert [file.path for file in client.files.list(context).files] == ["/file"]


def test_a_key_made_and_revoked_while_it_runs(folder: Path) -> None:
    with serving(folder) as server:
        made = json.loads(command("key", "create", "late", "--account", "team", "--data", str(folder), "--json").stdout)
        with Asker(server.address, made["key"]) as asker:
            assert asker.data("ListContexts") == []
            command("key", "revoke", "late", "--data", str(folder))
            until(lambda: asker.ask("ListContexts")["Code"] == "Forbidden.Key")


def test_a_key_from_the_environment_opens_the_account_local(folder: Path) -> None:
    with serving(folder, CTXMGR_API_KEY="my-own-key") as server, Asker(server.address, "my-own-key") as asker:
        asker.context("project")
        assert "nobody can use this yet" not in server.log()
        assert server.end() == 0
    listed = command("context", "list", "--data", str(folder), "--json")
    assert [context["name"] for context in json.loads(listed.stdout)["contexts"]] == ["project"]


def test_without_a_key_it_says_how_to_make_one(folder: Path) -> None:
    with serving(folder) as server:
        until(lambda: "ctxmgr key create" in server.log())


def test_a_key_stands_alone_on_the_standard_output(folder: Path) -> None:
    made = command("key", "create", "ci", "--data", str(folder))
    assert made.stdout == made.stdout.strip() + "\n"
    with closing(ContextService.open(folder)) as service:
        found = service.keys.find(made.stdout.strip())
    assert found is not None
    assert "'ci' opens the account 'local'" in made.stderr


def test_the_list_of_keys_shows_no_key(folder: Path, key: str) -> None:
    listed = command("key", "list", "--data", str(folder)).stdout
    assert "test" in listed
    assert key.rpartition("-")[2] not in listed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(folder: Path, key: str, number: int) -> None:
    with serving(folder) as server, Asker(server.address, key) as asker:
        asker.ask("ListContexts")
        assert server.end(number) == 0
        assert "Traceback" not in server.log()


def test_the_first_signal_lets_a_running_sync_finish(folder: Path, key: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with serving(folder, "--root", str(root)) as server, Asker(server.address, key) as asker:
        session = asker.session(Root=str(root))
        with held(DataFolder.open(folder).workspace_lock(str(root)), lambda: None):
            (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
            until(lambda: status(asker, session, task) == "Running")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(server.address))
        assert server.process.wait(60) == 0
    with serving(folder, "--root", str(root)) as server, Asker(server.address, key) as asker:
        assert status(asker, session, task) == "Success"


def test_a_sync_that_takes_longer_than_the_grace_is_done_by_the_next_start(
    folder: Path, key: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (
        held(DataFolder.open(folder).workspace_lock(str(root)), lambda: None),
        serving(folder, "--root", str(root), "--grace", "0") as server,
        Asker(server.address, key) as asker,
    ):
        session = asker.data("CreateMcpSession", Root=str(root), PersistenceDataList=[])["SessionId"]
        binding = {"ContextId": asker.context(), "Path": "/"}
        (task,) = asker.data("BindContexts", SessionId=session, PersistenceDataList=[binding])["TaskIds"]
        until(lambda: status(asker, session, task) == "Running")
        (queued,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        assert server.end() == 0
    with serving(folder) as server, Asker(server.address, key) as asker:
        assert asker.wait(session, task)["status"] == "Success"
        assert asker.wait(session, queued)["status"] == "Success"


def test_the_second_signal_ends_it_at_once(folder: Path, key: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with serving(folder, "--root", str(root), "--grace", "600") as server, Asker(server.address, key) as asker:
        session = asker.session(Root=str(root))
        with held(DataFolder.open(folder).workspace_lock(str(root)), lambda: None):
            (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
            until(lambda: status(asker, session, task) == "Running")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(server.address))
            assert server.end() == -signal.SIGTERM
    with serving(folder) as server, Asker(server.address, key) as asker:
        assert status(asker, session, task) == "Failed"


def test_a_root_that_is_not_permitted_is_refused(folder: Path, key: str, tmp_path: Path) -> None:
    for name in ("mine", "other", "mine2"):
        (tmp_path / name).mkdir()
    os.symlink(tmp_path / "other", tmp_path / "mine" / "link")
    roots = ("--root", str(tmp_path / "mine"), "--root", f"other={tmp_path / 'other'}")
    with serving(folder, *roots) as server, Asker(server.address, key) as asker:
        assert asker.ask("CreateMcpSession", Root=str(tmp_path / "mine"))["Success"]
        for path in ("other", "mine2", "mine/link", "mine/../other", "nowhere", ""):
            answer = asker.ask("CreateMcpSession", Root=f"{tmp_path}/{path}")
            assert answer["Code"] == "Forbidden.Root", path


def test_without_a_root_sessions_get_directories_of_their_own(folder: Path, key: str, tmp_path: Path) -> None:
    with serving(folder) as server, Asker(server.address, key) as asker:
        assert asker.ask("CreateMcpSession", Root=str(tmp_path))["Code"] == "Forbidden.Root"
        root = asker.data("CreateMcpSession")["Root"]
        assert Path(root).parent == Path(os.path.realpath(folder)) / "sessions"


def test_https_with_a_certificate_of_ones_own(folder: Path, key: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(files["cert"]), append=number > 0)
    with serving(folder, "--tls-cert", str(files["cert"]), "--tls-key", str(files["key"])) as server:
        assert server.address.startswith("https://127.0.0.1:")
        with Client(endpoint=server.address, api_key=key, verify=str(files["ca"])) as client:
            assert client.contexts.list().success
        with Asker(server.address, key) as asker:
            asker.http.verify = str(files["ca"])
            data = asker.data("GetContextFileUploadUrl", ContextId=asker.context(), FilePath="/f")
            assert data["Url"].startswith(f"{server.address}/files/")


def test_a_proxys_url_is_what_clients_get(folder: Path, key: str) -> None:
    with serving(folder, "--url", "https://contexts.example.org/") as server, Asker(server.address, key) as asker:
        data = asker.data("GetContextFileUploadUrl", ContextId=asker.context(), FilePath="/f")
        assert data["Url"].startswith("https://contexts.example.org/files/")


def test_the_log_is_lines_of_json_without_the_key(folder: Path, key: str) -> None:
    with serving(folder) as server, Asker(server.address, key) as asker:
        asker.http.post(f"{server.address}/?Action=ListContexts&Authorization=Bearer+{key}", timeout=PATIENCE)
        server.end()
        (line,) = server.log().splitlines()
    assert (json.loads(line)["action"], json.loads(line)["account"]) == ("ListContexts", "local")
    assert key.rpartition("-")[2] not in line


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--tls-cert", "x"), "--tls-cert and --tls-key belong together"),
        (("--tls-cert", "/nowhere", "--tls-key", "/nowhere"), "can't read '/nowhere'"),
        (("--root", "/nowhere"), "/nowhere is not a directory"),
        (("--host", "203.0.113.1"), "can't listen at '203.0.113.1'"),
        (("--host", "no such host"), "can't listen at 'no such host'"),
        (("--url", "contexts.example.org"), "give a scheme"),
        (("--endpoint", "http://x"), "No such option"),
    ],
)
def test_what_can_not_be_served_is_said_in_a_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    ended = command("serve", "--data", str(folder), "--port", "0", *arguments)
    assert ended.returncode in (1, 2)
    assert sentence.lower() in ended.stderr.lower()
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_said(folder: Path, key: str) -> None:
    with serving(folder) as server:
        ended = command("serve", "--data", str(folder), "--port", server.address.rpartition(":")[2])
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


def status(asker: Asker, session: str, task: str) -> str:
    (entry,) = entries(asker.data("GetContextInfo", SessionId=session, TaskIds=[task]))
    return str(entry["status"])


def refused(address: str) -> bool:
    try:
        requests.get(address + "/healthz", timeout=PATIENCE)
    except requests.ConnectionError:
        return True
    return False
