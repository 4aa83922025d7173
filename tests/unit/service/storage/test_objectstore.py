"""Stores elsewhere: what one must do before content is entrusted to it, on a real one and on one that lies."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.objectstore import shown
from ctxmgr.service.tasks.contentstore import CatalogContentStore
from tests.support.lyingstore import LIES, LyingStore
from tests.support.scripted import PATIENCE
from tests.support.servers import SECRET, SeaweedServer


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingStore]:
    with LyingStore() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store


def test_a_store_that_does_what_it_says_is_opened_and_keeps_nothing_of_the_trial(bucket: str) -> None:
    import obstore

    store = BlobStore.open(bucket)
    assert store.is_empty()
    assert [item for batch in obstore.list(store._store) for item in batch] == []


def test_the_scripted_store_without_a_lie_is_trusted(lying: LyingStore) -> None:
    assert BlobStore.open("s3://bucket/prefix").is_empty()


@pytest.mark.parametrize(("lie", "told"), LIES.items())
def test_a_store_that_lies_is_refused_with_what_it_lacks(lying: LyingStore, lie: str, told: str) -> None:
    lying.lie = lie
    with pytest.raises(ContentError, match=told):
        BlobStore.open("s3://bucket/prefix")


def test_a_service_does_not_start_on_a_store_that_lies(lying: LyingStore, tmp_path: Path) -> None:
    lying.lie = "unconditional"
    with pytest.raises(DataFolderError, match="can't be trusted with content: it ignores If-None-Match"):
        ContextService.open(tmp_path / "data", store="s3://bucket/prefix")


def test_a_command_tries_a_store_out_once_a_day_and_a_service_at_each_start(
    lying: LyingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, folder = "s3://bucket/prefix", tmp_path / "data"
    ContextService.open(folder, store=store).close()
    lying.lie = "unconditional"
    ContextService.open(folder, store=store).close()
    with pytest.raises(DataFolderError, match="can't be trusted"):
        ContextService.open(folder, store=store, resume=True)
    with pytest.raises(DataFolderError, match="can't be trusted"):
        ContextService.open(folder, store="s3://bucket/another")
    yesterday = time.time() - 24 * 3600
    os.utime(folder / "store.passed", (yesterday, yesterday))
    with pytest.raises(DataFolderError, match="can't be trusted"):
        ContextService.open(folder, store=store)


def test_a_store_that_cant_be_reached_is_refused_with_the_reason_and_without_its_secret(
    seaweed_server: SeaweedServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"wrong-{SECRET}")
    with pytest.raises(ContentError, match="can't be used") as caught:
        BlobStore.open(bucket)
    assert SECRET not in str(caught.value)


def test_a_store_without_credentials_says_which_are_missing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with pytest.raises(ContentError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        BlobStore.open(bucket)


def test_packs_go_into_an_object_store_several_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [random.Random(number).randbytes(1500) for number in range(3)]
    together, plain = threading.Barrier(len(chunks)), BlobStore.put

    def put(store: BlobStore, name: str, data: bytes) -> None:
        together.wait(PATIENCE)
        plain(store, name, data)

    monkeypatch.setattr(BlobStore, "put", put)
    with closing(Catalog.open(tmp_path / "catalog.db")) as catalog:
        content = CatalogContentStore(catalog, BlobStore.open("memory:///"), "account")
        writer = PackWriter(content, pack_size=1000)
        stored = [writer.add(chunk) for chunk in chunks]
        writer.flush()
        assert content.missing(stored) == set()


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    assert shown("s3://key:secret@bucket/prefix?token=secret") == "'s3://bucket/prefix'"


def test_a_forked_process_is_refused_what_its_threads_did_not_come_along_for(bucket: str) -> None:
    store = BlobStore.open(bucket)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            store.put("0" * 64, b"content")
        except ContentError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert "start it anew" in told.read()
