"""Content that goes straight between nodes and an S3 store, by presigned URLs: what gets there, and what must not."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import obstore
import pytest
import requests
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.packs import SealedPack, seal
from ctxmgr.errors import DataFolderError
from ctxmgr.service import ContextService
from ctxmgr.service.api.nodes import content
from ctxmgr.service.care.prune import UPLOAD_MS, free_room
from ctxmgr.service.catalog.chunkindex import CatalogChunkIndex
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.http import HttpServer
from ctxmgr.service.storage import direct
from ctxmgr.service.storage.objectstore import open_store
from ctxmgr.service.storage.packfiles import pack_key
from ctxmgr.testing import Faults, Service
from tests.support.forward import forward
from tests.support.scripted import PATIENCE, Answer, Dropped, Raw, Recorded, ScriptedServer
from tests.support.servers import Database, SeaweedServer

from .asking import Asker
from .nodeasking import SpeakingNode, one_pack, refused
from .serving import serving

KEY = "akm-0123456789"
SIZE = 3 << 20
REFUSAL = Raw(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", 403)

Mode = Literal["upload", "download"]
HandOn = Callable[[Recorded], Raw]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTXMGR_HOME", str(tmp_path / "home"))


@pytest.fixture
def hand_on(seaweed_server: SeaweedServer) -> HandOn:
    return partial(forward, urlsplit(seaweed_server.environment["AWS_ENDPOINT_URL"]).netloc)


@pytest.fixture
def front(hand_on: HandOn) -> Iterator[ScriptedServer]:
    """The store as nodes reach it."""
    with ScriptedServer() as server:
        server.script("PUT", hand_on)
        server.script("GET", hand_on)
        yield server


@pytest.fixture
def ctxmgr_service(tmp_path: Path, bucket: str, front: ScriptedServer) -> Iterator[Service]:
    service = ContextService.open(tmp_path / "data", store=bucket, store_endpoint=front.url)
    with HttpServer(service) as server:
        running = Service(service, server, tmp_path / "data", Faults(service))
        yield running
        running.close()
    service.close()


@pytest.fixture
def thief(ctxmgr_service: Service) -> Iterator[SpeakingNode]:
    with Asker(ctxmgr_service.endpoint, ctxmgr_service.key("thief")) as asker:
        yield SpeakingNode(asker)


def up_and_down(service: Service, folder: Path) -> None:
    """Upload a directory from one place, and download it to another."""
    sent = os.urandom(SIZE)
    places: tuple[tuple[str, Mode], ...] = (("there", "upload"), ("here", "download"))
    for name in ("there", "here"):
        (folder / name).mkdir()
    (folder / "there" / "file").write_bytes(sent)
    with service.client() as client:
        context = client.contexts.get("project", create=True).context
        assert context is not None
        for name, mode in places:
            session = client.sessions.create(root=folder / name, bind={"/": context}).session
            assert session is not None
            result = session.context.sync(mode=mode)
            assert result, result.error_message
    assert (folder / "here" / "file").read_bytes() == sent


def moved(caplog: pytest.LogCaptureFixture) -> int:
    """The bytes of content that the service received and sent."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "ctxmgr.access"]
    return sum(line["received"] + line["sent"] for line in lines)


def objects(store: str, prefix: str) -> list[str]:
    return sorted(item["path"] for batch in obstore.list(open_store(store), prefix) for item in batch)


def uploaded(node: SpeakingNode, pack: SealedPack, *, data: bytes | None = None) -> nodewire.StorePack:
    """Send a pack to its URL, and return the message that has the service take it."""
    signed = node.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl)
    assert requests.put(signed.url, data=pack.data if data is None else data, timeout=PATIENCE).status_code == 200
    proof = blake3(pack.data, key=signed.challenge).digest()
    return nodewire.StorePack(pack.name, len(pack.data), proof=proof)


def urls(node: SpeakingNode, pack: SealedPack) -> dict[str, str]:
    return node.say(nodewire.GetUrls([pack.name]), nodewire.PackUrls).urls


def digests(pack: SealedPack) -> list[bytes]:
    return [digest for digest, *_ in pack.rows]


class TestWay:
    def test_content_passes_the_service_by_in_both_directions(
        self, ctxmgr_service: Service, front: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        up_and_down(ctxmgr_service, tmp_path)
        assert sum(len(request.body) for request in front.asked("PUT")) >= SIZE
        asked = [request.headers["Range"].removeprefix("bytes=").split("-") for request in front.asked("GET")]
        assert sum(int(end) + 1 - int(start) for start, end in asked) >= SIZE
        assert moved(caplog) < SIZE // 10

    def test_neither_a_url_nor_the_key_is_told_to_anyone(
        self, ctxmgr_service: Service, front: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        up_and_down(ctxmgr_service, tmp_path)
        assert front.requests
        assert "Signature=" not in caplog.text
        for request in front.requests:
            assert "Authorization" not in request.headers
            assert ctxmgr_service.api_key not in f"{request.target} {request.headers}"

    @pytest.mark.parametrize("wrong", [REFUSAL, Raw(status=503), Raw(b"<html>", 200), Dropped()], ids=repr)
    def test_what_the_store_refuses_goes_through_the_service(
        self,
        ctxmgr_service: Service,
        front: ScriptedServer,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        wrong: Answer,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for method in ("PUT", "GET"):
            front.script(method, wrong)
        up_and_down(ctxmgr_service, tmp_path)
        assert front.asked("PUT")
        assert moved(caplog) >= SIZE
        notes = [record.getMessage() for record in caplog.records if "can't be reached from here" in record.msg]
        assert len(notes) == 1
        assert "Signature=" not in caplog.text

    def test_a_store_that_cant_be_reached_is_done_without(
        self, tmp_path: Path, bucket: str, front: ScriptedServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        front.close()
        service = ContextService.open(tmp_path / "data", store=bucket, store_endpoint=front.url)
        with HttpServer(service) as server:
            running = Service(service, server, tmp_path / "data", Faults(service))
            up_and_down(running, tmp_path)
            running.close()
        service.close()
        assert moved(caplog) >= 2 * SIZE

    @pytest.mark.parametrize("method", ["PUT", "GET"])
    def test_what_was_cut_is_sent_again(
        self,
        ctxmgr_service: Service,
        front: ScriptedServer,
        hand_on: HandOn,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        method: str,
    ) -> None:
        caplog.set_level(logging.INFO)
        front.script(method, Dropped(b"HTTP/1.1 206 Partial\r\nContent-Length: 100000\r\n\r\nbegun"), hand_on)
        up_and_down(ctxmgr_service, tmp_path)
        assert moved(caplog) < SIZE // 10

    def test_a_url_that_is_over_is_asked_for_anew(
        self,
        ctxmgr_service: Service,
        front: ScriptedServer,
        hand_on: HandOn,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        for method in ("PUT", "GET"):
            front.script(method, Raw(b"<Error><Code>AccessDenied</Code></Error>", 403), hand_on)
        up_and_down(ctxmgr_service, tmp_path)
        assert moved(caplog) < SIZE // 10

    def test_a_service_that_is_told_no_endpoint_gives_no_urls(self, tmp_path: Path, bucket: str) -> None:
        pack = one_pack(b"content")
        service = ContextService.open(tmp_path / "data", store=bucket)
        with HttpServer(service) as server:
            running = Service(service, server, tmp_path / "data", Faults(service))
            with Asker(running.endpoint, running.api_key) as asker:
                node = SpeakingNode(asker)
                assert not node.say(nodewire.Hello(), nodewire.Welcome).direct
                node.store(b"content")
                assert urls(node, pack) == {}
                assert node.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl).url == ""
                proven = nodewire.StorePack(one_pack(b"other").name, 7, proof=b"x" * 32)
                assert refused(node, proven).code == "InvalidStage.NotFound"
        service.close()


def test_what_one_server_gave_the_url_for_another_takes(
    tmp_path: Path, database: Database, bucket: str, seaweed_server: SeaweedServer
) -> None:
    pack = one_pack(b"content")
    with ExitStack() as stack:
        nodes = []
        for name in ("one", "two"):
            service = ContextService.open(
                tmp_path / name,
                catalog=database.url,
                store=bucket,
                store_endpoint=seaweed_server.environment["AWS_ENDPOINT_URL"],
            )
            stack.callback(service.close)
            server = stack.enter_context(HttpServer(service))
            _, key = service.keys.create(name, "local")
            nodes.append(SpeakingNode(stack.enter_context(Asker(server.address, key))))
        one, two = nodes
        two.do(uploaded(one, pack))
        assert requests.get(urls(one, pack)[pack.name], timeout=PATIENCE).content == pack.data


class TestUrls:
    def test_a_url_is_for_one_object_and_one_method(self, node: SpeakingNode, bucket: str) -> None:
        pack, other = one_pack(b"content"), one_pack(b"other")
        node.do(uploaded(node, pack))
        node.store(b"other")
        url = urls(node, pack)[pack.name]
        assert requests.get(url, timeout=PATIENCE).content == pack.data
        for method, changed in (
            ("PUT", url),
            ("GET", url.replace(pack_key(pack.name), pack_key(other.name))),
            ("GET", node.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl).url),
        ):
            assert requests.request(method, changed, data=b"", timeout=PATIENCE).status_code == 403
        assert requests.get(url, timeout=PATIENCE).content == pack.data

    def test_a_url_ends(self, node: SpeakingNode, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(direct, "VALID_SECONDS", 1)
        pack = one_pack(b"content")
        node.do(uploaded(node, pack))
        url = urls(node, pack)[pack.name]
        end = time.monotonic() + PATIENCE
        while requests.get(url, timeout=PATIENCE).status_code != 403:
            assert time.monotonic() < end

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 63, "G" * 64])
    def test_what_is_no_pack_has_no_url(self, node: SpeakingNode, name: str) -> None:
        for message in (nodewire.PutUrl(name), nodewire.GetUrls([name])):
            assert refused(node, message).code == "InvalidParameter.Malformed"

    def test_a_pack_that_is_not_there_has_no_url(self, node: SpeakingNode) -> None:
        assert urls(node, one_pack(b"content")) == {}


class TestTheft:
    """Two accounts, the same file: whoever knows the name of a pack gets nothing for it."""

    def test_a_pack_of_another_account_has_no_url(self, node: SpeakingNode, thief: SpeakingNode) -> None:
        pack = one_pack(b"content")
        node.do(uploaded(node, pack))
        assert urls(node, pack)
        assert urls(thief, pack) == {}

    def test_a_pack_that_two_accounts_have_is_read_through_the_service(
        self, node: SpeakingNode, thief: SpeakingNode
    ) -> None:
        pack = one_pack(b"content")
        for each in (node, thief):
            each.do(uploaded(each, pack))
        for each in (node, thief):
            assert urls(each, pack) == {}
            place = each.locate(*digests(pack))[digests(pack)[0]]
            assert each.raw(nodewire.Read([(place.pack, place.offset, place.stored)])) == b"content"

    def test_what_another_account_uploads_is_not_taken(self, node: SpeakingNode, thief: SpeakingNode) -> None:
        pack = one_pack(b"content")
        uploaded(node, pack)
        proven = nodewire.StorePack(pack.name, len(pack.data), proof=b"x" * 32)
        assert refused(thief, proven).code == "InvalidStage.NotFound"
        assert thief.missing(*digests(pack)) == set(digests(pack))

    def test_a_pack_that_was_copied_within_the_store_is_not_taken(
        self, node: SpeakingNode, thief: SpeakingNode, bucket: str
    ) -> None:
        """As by a store that heeds a header ``x-amz-copy-source`` which nobody has signed."""
        pack = one_pack(b"content")
        message = uploaded(node, pack)
        node.do(message)
        url = thief.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl).url
        key = "uploads/" + urlsplit(url).path.partition("/uploads/")[2]
        for proof in (message.proof, b"x" * 32):
            obstore.copy(open_store(bucket), pack_key(pack.name), key)
            stolen = nodewire.StorePack(pack.name, len(pack.data), proof=proof)
            assert refused(thief, stolen).code == "InvalidPack.Malformed"
        assert thief.missing(*digests(pack)) == set(digests(pack))
        assert urls(node, pack)

    def test_the_store_of_the_tests_heeds_no_such_header(
        self, node: SpeakingNode, thief: SpeakingNode, bucket: str
    ) -> None:
        pack = one_pack(b"content")
        node.do(uploaded(node, pack))
        url = thief.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl).url
        source = urlsplit(bucket).netloc + urlsplit(bucket).path + "/" + pack_key(pack.name)
        assert requests.put(url, headers={"x-amz-copy-source": source}, timeout=PATIENCE).status_code == 403


class TestVerified:
    @pytest.fixture(autouse=True)
    def _nothing_is_left(self, bucket: str, ctxmgr_service: Service) -> Iterator[None]:
        yield
        assert objects(bucket, "uploads") == []

    @pytest.mark.parametrize(("stored", "length"), [(b"other content", 13), (b"content", 700), (b"conten", 7)])
    def test_a_pack_that_lies_about_a_chunk_is_not_indexed(
        self, node: SpeakingNode, bucket: str, stored: bytes, length: int
    ) -> None:
        digest = blake3(b"content").digest()
        pack = seal([stored], [(digest, 0, len(stored), length)])
        assert refused(node, uploaded(node, pack)).code == "InvalidPack.Malformed"
        assert node.missing(digest) == {digest}
        assert objects(bucket, "packs") == []

    def test_what_is_not_what_its_name_says_is_to_be_sent_again(self, node: SpeakingNode, bucket: str) -> None:
        pack = one_pack(b"content")
        wrong = uploaded(node, pack, data=one_pack(b"other").data)
        assert refused(node, wrong).code == "InvalidStage.NotFound"
        assert objects(bucket, "packs") == []
        node.do(uploaded(node, pack))
        assert node.missing(*digests(pack)) == set()

    def test_what_is_too_large_is_not_read(
        self, node: SpeakingNode, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(content, "MAX_PACK", 1000)
        pack = one_pack(b"content")
        message = uploaded(node, pack, data=pack.data + bytes(1001))
        assert refused(node, message).code == "InvalidStage.NotFound"

    def test_what_is_sent_to_the_url_once_it_was_verified_is_not_kept(
        self, ctxmgr_service: Service, node: SpeakingNode, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pack = one_pack(b"content")
        message = uploaded(node, pack)
        url = node.say(nodewire.PutUrl(pack.name), nodewire.UploadUrl).url
        keep_as = direct.Uploaded.keep_as

        def keep_late(self: direct.Uploaded, name: str) -> None:
            assert requests.put(url, data=b"other", timeout=PATIENCE).status_code == 200
            keep_as(self, name)

        monkeypatch.setattr(direct.Uploaded, "keep_as", keep_late)
        node.do(message)
        assert bytes(obstore.get(open_store(bucket), pack_key(pack.name)).bytes()) == pack.data

    def test_a_message_whose_answer_was_lost_may_come_again(self, node: SpeakingNode) -> None:
        message = uploaded(node, one_pack(b"content"))
        node.do(message)
        node.do(message)


class Killed(BaseException):
    """The process ends here."""


class TestCrashes:
    def stop(self, patched: pytest.MonkeyPatch, what: str) -> None:
        """Have the process end when it does something: after that it does nothing any more, and removes nothing."""

        def end(*arguments: object) -> None:
            raise Killed

        if what == "index":
            patched.setattr(CatalogChunkIndex, "add", end)
        elif what == "keep":
            patched.setattr(direct.Uploaded, "keep_as", end)
        else:
            patched.setattr(obstore, "get", end)
        patched.setattr(obstore, "delete", end)

    @pytest.mark.parametrize("what", ["read", "keep", "index"])
    def test_what_was_not_indexed_can_be_stored_again_and_is_removed_by_a_prune(
        self,
        ctxmgr_service: Service,
        node: SpeakingNode,
        bucket: str,
        monkeypatch: pytest.MonkeyPatch,
        what: str,
    ) -> None:
        pack = one_pack(b"content")
        message = uploaded(node, pack)
        runtime = ctxmgr_service.service._runtime
        with monkeypatch.context() as patched:
            self.stop(patched, what)
            with pytest.raises(Killed):
                content.store_pack(runtime, "local", message)
        assert node.missing(*digests(pack)) == set(digests(pack))
        assert len(objects(bucket, "uploads")) == 2
        self.prune(ctxmgr_service, 0)
        assert len(objects(bucket, "uploads")) == 2
        self.prune(ctxmgr_service, UPLOAD_MS + 60_000)
        assert objects(bucket, "") == []
        node.do(uploaded(node, pack))
        assert urls(node, pack)

    def test_an_upload_outlives_the_service(self, tmp_path: Path, bucket: str, seaweed_server: SeaweedServer) -> None:
        places = ("--store", bucket, "--store-endpoint", seaweed_server.environment["AWS_ENDPOINT_URL"])
        pack = one_pack(b"content")
        with serving(tmp_path / "served", *places, CTXMGR_API_KEY=KEY) as server:
            with Asker(server.address, KEY) as asker:
                message = uploaded(SpeakingNode(asker), pack)
            server.end(signal.SIGKILL)
        with serving(tmp_path / "served", *places, CTXMGR_API_KEY=KEY) as server, Asker(server.address, KEY) as asker:
            node = SpeakingNode(asker)
            assert node.missing(*digests(pack)) == set(digests(pack))
            node.do(message)
            assert requests.get(urls(node, pack)[pack.name], timeout=PATIENCE).content == pack.data
            assert "Signature=" not in server.log()

    def prune(self, service: Service, later_ms: int) -> None:
        runtime = service.service._runtime
        free_room(runtime.catalog, runtime._packs, alone=lambda: True, grace_ms=0, clock=lambda: now_ms() + later_ms)


@pytest.mark.parametrize(
    ("store", "endpoint", "problem"),
    [
        ("", "https://s3.example", "kept in the data folder"),
        ("memory:///", "https://s3.example", "kept in 'memory:///'"),
        ("s3://bucket", "s3.example", "the endpoint of the store for nodes is 's3.example'"),
        ("s3://bucket", "https://key:secret@s3.example", "give a scheme"),
    ],
)
def test_an_endpoint_that_is_none_is_refused(tmp_path: Path, store: str, endpoint: str, problem: str) -> None:
    with pytest.raises(DataFolderError, match=problem):
        ContextService.open(tmp_path / "data", store=store, store_endpoint=endpoint)
