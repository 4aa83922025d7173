"""The client of a service in this process: where it keeps its data, how soon it knows, and how it ends."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from ctxmgr import Client, ClosedError, ConfigError, Context, DataFolderError
from ctxmgr.cli import main as command
from tests.support.servers import PASSWORD, Database

from .called import Called


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    root.mkdir()
    return root


class TestFolder:
    def test_it_is_made(self, tmp_path: Path) -> None:
        with Client.local(tmp_path / "new" / "data") as client:
            page = client.contexts.list()
        assert page.success

    def test_nothing_is_made_before_it_is_used(self, tmp_path: Path) -> None:
        client = Client.local(tmp_path / "data")
        client.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        with Client.local("~/data"):
            assert (tmp_path / "data").is_dir()

    def test_the_environment_may_name_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "data"))
        with Client.local():
            assert (tmp_path / "data").is_dir()

    def test_without_one_it_is_the_users_own_as_for_the_command(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: str(tmp_path / name))
        with Client.local() as client:
            created = client.contexts.create("seen by both")
        assert created.success
        assert command(["context", "list"]) == 0
        assert capsys.readouterr().out.endswith("  seen by both\n")

    def test_an_empty_name_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match=r"^the name of the data folder is empty: name a folder, or leave it out"):
            Client.local("")
        monkeypatch.setenv("CTXMGR_HOME", "")
        with pytest.raises(ConfigError, match=r"^CTXMGR_HOME is empty: name a folder, or leave it out"):
            Client.local()

    def test_the_catalog_and_the_content_may_be_elsewhere(
        self, tmp_path: Path, root: Path, database: Database, bucket: str
    ) -> None:
        (root / "file").write_text("content")
        with Client.local(tmp_path / "data", catalog=database.url, store=bucket) as client:
            context = client.contexts.get("project", create=True).context
            with client.sessions.create(root=str(root), bind={"/": context}).session as session:
                assert session.context.sync().success
        with Client.local(tmp_path / "other", catalog=database.url, store=bucket) as client:
            assert [file.path for file in client.files.list(context).files] == ["/file"]
            client.files.download(context, "/file", tmp_path / "got")
        assert (tmp_path / "got").read_text() == "content"

    def test_the_environment_may_say_where(
        self, tmp_path: Path, database: Database, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Client.local(tmp_path / "data", catalog=database.url, store=bucket) as client:
            client.contexts.create("project")
        monkeypatch.setenv("CTXMGR_CATALOG", database.url)
        monkeypatch.setenv("CTXMGR_STORE", bucket)
        with Client.local(tmp_path / "other") as client:
            page = client.contexts.list()
        assert [context.name for context in page.contexts] == ["project"]

    def test_an_empty_url_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"^the URL of the catalog is empty: give one, or leave it out"):
            Client.local(tmp_path, catalog="")
        with pytest.raises(ConfigError, match=r"^the URL of the store is empty: give one, or leave it out"):
            Client.local(tmp_path, store="")

    def test_a_catalog_that_cant_be_reached_is_named_without_its_password(self, tmp_path: Path) -> None:
        client = Client.local(tmp_path, catalog=f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/absent")
        with pytest.raises(DataFolderError, match=r"127\.0\.0\.1:1/absent") as caught:
            client.contexts.list()
        client.close()
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(client)

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("...")
        client = Client.local(tmp_path)
        with pytest.raises(DataFolderError, match="not a ctxmgr data folder"):
            client.contexts.list()
        client.close()

    def test_a_folder_of_something_else_is_refused_on_entering(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("...")
        client = Client.local(tmp_path)
        with pytest.raises(DataFolderError, match="not a ctxmgr data folder"):
            client.__enter__()
        client.close()

    def test_two_clients_may_share_one(self, tmp_path: Path) -> None:
        with Client.local(tmp_path / "data") as one, Client.local(tmp_path / "data") as two:
            made = one.contexts.get("project", create=True).context
            found = two.contexts.get("project").context
        assert found.id == made.id


class TestSync:
    def test_its_end_is_known_at_once(self, local: Client, project: Context, root: Path) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        (root / "a.txt").write_text("one")
        result = session.context.sync(retry_interval=3_600_000)  # a test that slept so long would be ended
        assert result.success

    def test_many_callbacks_are_all_called(self, local: Client, project: Context, root: Path) -> None:
        session = local.sessions.create(root=root, bind={"/": project}).session
        called = Called(5)
        for _ in range(5):
            session.context.sync(callback=called)
        called.wait()
        assert called.calls == [True] * 5


class TestClosing:
    def test_nothing_can_be_asked_afterwards(self, tmp_path: Path) -> None:
        client = Client.local(tmp_path / "data")
        client.close()
        with pytest.raises(ClosedError, match=r"^ListContexts was not sent: the client is closed$"):
            client.contexts.list()

    def test_it_may_be_repeated(self, tmp_path: Path) -> None:
        client = Client.local(tmp_path / "data")
        client.contexts.list()
        client.close()
        client.close()

    def test_callbacks_that_are_owed_are_called(self, tmp_path: Path, root: Path) -> None:
        called = Called(10)
        with Client.local(tmp_path / "data") as client:
            context = client.contexts.get("project", create=True).context
            session = client.sessions.create(root=root, bind={"/": context}).session
            for _ in range(10):
                session.context.sync(callback=called)
        called.wait()
        assert len(called.calls) == 10
