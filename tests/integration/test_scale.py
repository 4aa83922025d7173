"""``ctxmgr serve`` as several processes over one PostgreSQL and one S3 store, each with a data folder of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.keeping import Elsewhere
from tests.support.servers import PASSWORD, SECRET, Database

from .asking import Asker
from .serving import Serving, serving
from .test_http_command import command

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(database: Database, bucket: str) -> Elsewhere:
    return {"catalog": database.url, "store": bucket}


def served(stack: ExitStack, folder: Path, elsewhere: Elsewhere, *arguments: str) -> Serving:
    places = serving(folder, *arguments, CTXMGR_CATALOG=elsewhere["catalog"], CTXMGR_STORE=elsewhere["store"])
    return stack.enter_context(places)


def made_key(folder: Path, elsewhere: Elsewhere) -> str:
    options = ["--data", str(folder), "--catalog", elsewhere["catalog"], "--store", elsewhere["store"]]
    made = command("key", "create", "test", *options)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_what_one_process_keeps_any_other_answers_for(elsewhere: Elsewhere, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("content")
    key = made_key(tmp_path / "one", elsewhere)
    with ExitStack() as stack:
        one = served(stack, tmp_path / "one", elsewhere, "--root", str(root))
        two = served(stack, tmp_path / "two", elsewhere)
        here = stack.enter_context(Asker(one.address, key))
        there = stack.enter_context(Asker(two.address, key))
        context = there.context("project")
        session = here.data(
            "CreateMcpSession", Root=str(root), PersistenceDataList=[{"ContextId": context, "Path": "/"}]
        )["SessionId"]
        (task,) = here.data("SyncContext", SessionId=session, Mode="upload")["TaskIds"]
        assert there.wait(session, task)["status"] == "Success"
        (again,) = there.data("SyncContext", SessionId=session, Mode="upload")["TaskIds"]
        assert there.wait(session, again)["status"] == "Success"
        url = here.data("GetContextFileDownloadUrl", ContextId=context, FilePath="/file")["Url"]
        for each in (one, two):
            assert requests.get(url.replace(one.address, each.address), timeout=30).text == "content"


def test_no_secret_is_written_anywhere(elsewhere: Elsewhere, tmp_path: Path) -> None:
    key = made_key(tmp_path / "one", elsewhere)
    with ExitStack() as stack:
        server = served(stack, tmp_path / "one", elsewhere)
        with Asker(server.address, key) as asker:
            asker.context("project")
        metrics = requests.get(f"{server.address}/metrics", timeout=30).text
        told = server.log() + metrics
    files = b"".join(file.read_bytes() for file in (tmp_path / "one").rglob("*") if file.is_file())
    for secret in (PASSWORD, SECRET):
        assert secret not in told
        assert secret.encode() not in files


@pytest.mark.parametrize("wrong", ["catalog", "store"])
def test_a_place_that_cant_be_used_is_named_without_its_secret(
    elsewhere: Elsewhere, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong == "store":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"wrong-{SECRET}")
    else:
        elsewhere["catalog"] += "-absent"
    options = ["--catalog", elsewhere["catalog"], "--store", elsewhere["store"]]
    refused = command("serve", "--data", str(tmp_path / "one"), *options)
    assert refused.returncode == 1
    assert f"the {wrong} " in refused.stderr
    assert PASSWORD not in refused.stderr
    assert SECRET not in refused.stderr
