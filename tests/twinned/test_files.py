"""Files of contexts one by one, by signed URL and in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr import (
    ApiError,
    ArgumentError,
    Client,
    ConflictError,
    ConnectionFailed,
    Context,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
)
from tests.support.relay import Relay

LARGE = os.urandom(3_000_001)
FLIPPED = os.urandom(200_001)


@pytest.fixture
def served(relay: Relay) -> Iterator[Client]:
    """A client of a service behind HTTP."""
    with Client(api_key=relay.key, endpoint=relay.url, attempts=2) as client:
        yield client


@pytest.fixture
def context(served: Client) -> Context:
    return served.contexts.get("project", create=True).context


class TestByUrl:
    @pytest.mark.parametrize("content", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
    def test_what_is_uploaded_is_what_is_downloaded(
        self, served: Client, context: Context, tmp_path: Path, content: bytes
    ) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(content)
        put = served.files.upload(context, "/a/b.bin", source)
        assert (put.success, put.size, put.revision, len(put.digest)) == (True, len(content), 1, 64)
        got = served.files.download(context, "/a/b.bin", target)
        assert (got.success, got.size, got.digest, got.revision) == (True, len(content), put.digest, 1)
        assert target.read_bytes() == content

    def test_bytes_are_uploaded_as_they_are(self, served: Client, context: Context, tmp_path: Path) -> None:
        put = served.files.upload(context, "/a", b"in memory")
        assert put.size == 9
        served.files.download(context, "/a", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == b"in memory"

    def test_the_request_carries_neither_the_key_nor_what_the_signature_does_not_know(
        self, served: Client, context: Context, relay: Relay, tmp_path: Path
    ) -> None:
        served.files.upload(context, "/a", b"text")
        served.files.download(context, "/a", tmp_path / "a")
        assert relay.seen
        for request in relay.seen:
            assert relay.key not in str(request.headers)
            names = {name.lower() for name in request.headers}
            assert not {"authorization", "content-type", "transfer-encoding"} & names

    def test_the_url_is_in_no_log(
        self,
        served: Client,
        context: Context,
        relay: Relay,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The service has switched uvicorn's own log off; pytest listens to it nevertheless.
        monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
        relay.cut = 1
        with caplog.at_level("DEBUG"):
            served.files.upload(context, "/a", b"text")
            served.files.download(context, "/a", tmp_path / "a")
        assert "/files/" not in caplog.text

    def test_a_refusal_of_the_service_is_a_failure_with_its_code(
        self, served: Client, context: Context, tmp_path: Path
    ) -> None:
        result = served.files.download(context, "/absent", tmp_path / "target")
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[InvalidFile.NotFound")
        assert list(tmp_path.glob("*target*")) == []

    def test_a_refusal_of_an_object_store_is_read_out_of_its_xml(
        self, served: Client, context: Context, relay: Relay
    ) -> None:
        relay.refusals = ["<Error><Code>AccessDenied</Code><Message>the request has expired</Message></Error>"]
        result = served.files.upload(context, "/a", b"text")
        assert result.error_message == "[AccessDenied] the request has expired"
        with pytest.raises(ForbiddenError):
            result.raise_for_error()

    def test_a_download_that_is_cut_is_tried_again(
        self, served: Client, context: Context, relay: Relay, tmp_path: Path
    ) -> None:
        served.files.upload(context, "/a", LARGE)
        relay.cut = 1
        got = served.files.download(context, "/a", tmp_path / "target")
        assert (got.success, (tmp_path / "target").read_bytes() == LARGE) == (True, True)

    def test_a_download_that_stays_cut_leaves_what_was_there(
        self, served: Client, context: Context, relay: Relay, tmp_path: Path
    ) -> None:
        (tmp_path / "target").write_text("before")
        served.files.upload(context, "/a", LARGE)
        relay.cut = 2
        with pytest.raises(ConnectionFailed):
            served.files.download(context, "/a", tmp_path / "target")
        assert (tmp_path / "target").read_text() == "before"
        assert [path.name for path in tmp_path.iterdir() if "target" in path.name] == ["target"]

    def test_an_earlier_version_is_downloaded_by_its_revision(
        self, served: Client, context: Context, tmp_path: Path
    ) -> None:
        served.files.upload(context, "/a", b"old")
        served.files.upload(context, "/a", b"new")
        served.files.download(context, "/a", tmp_path / "old", revision=1)
        assert (tmp_path / "old").read_bytes() == b"old"

    def test_urls_are_given_out_and_not_shown(self, served: Client, context: Context, relay: Relay) -> None:
        up = served.files.upload_url(context, "/a")
        assert (up.success, up.url.startswith(f"{relay.url}/files/"), up.expire_time > 0) == (True, True, True)
        assert up.url not in repr(up)
        down = served.files.download_url(context, "/a")
        assert down.error_message.startswith("[InvalidFile.NotFound]")

    def test_a_session_downloads_what_was_put_by_url(self, served: Client, context: Context, relay: Relay) -> None:
        session = served.sessions.create(bind={"/work": context}).session
        served.files.upload(context, "/work/new.txt", b"by url")
        result = session.context.sync(mode="download")
        assert (result.success, result.files) == (True, 1)


@pytest.mark.parametrize("with_blake3", [True, False], ids=["blake3", "standard library"])
class TestFlippedBits:
    """One bit of the content is flipped in transit, as no checksum of TCP or TLS ends would notice."""

    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch, with_blake3: bool) -> None:
        if not with_blake3:
            monkeypatch.setattr("ctxmgr.filedigests._blake3", None)

    @pytest.fixture
    def single(self, relay: Relay) -> Iterator[Client]:
        with Client(api_key=relay.key, endpoint=relay.url, attempts=1) as client:
            yield client

    def test_no_download_is_a_success_with_wrong_bytes(
        self, single: Client, context: Context, relay: Relay, tmp_path: Path
    ) -> None:
        single.files.upload(context, "/a", FLIPPED)
        files = single.files
        for _ in range(25):
            relay.flip = 1
            with pytest.raises(ConnectionFailed, match="damaged on its way"):
                files.download(context, "/a", tmp_path / "a")
            assert relay.flip == 0
        assert [path.name for path in tmp_path.iterdir()] == ["served"]

    def test_no_upload_is_a_success_with_wrong_bytes(self, single: Client, context: Context, relay: Relay) -> None:
        files = single.files
        for _ in range(25):
            relay.flip = 1
            with pytest.raises(ConnectionFailed, match="damaged on its way, and not kept"):
                files.upload(context, "/a", FLIPPED)
            assert relay.flip == 0
        assert [file.path for file in single.files.list(context).files] == []

    def test_another_attempt_heals_it(self, served: Client, context: Context, relay: Relay, tmp_path: Path) -> None:
        relay.flip = 1
        put = served.files.upload(context, "/a", FLIPPED)
        relay.flip = 1
        got = served.files.download(context, "/a", tmp_path / "a")
        assert (put.success, put.verified, got.success, got.verified) == (True,) * 4
        assert (tmp_path / "a").read_bytes() == FLIPPED

    def test_without_a_digest_the_result_says_that_nothing_was_proven(
        self, served: Client, context: Context, relay: Relay, tmp_path: Path
    ) -> None:
        relay.tells = False
        put = served.files.upload(context, "/a", FLIPPED)
        got = served.files.download(context, "/a", tmp_path / "a")
        assert (put.success, put.verified, got.success, got.verified) == (True, False, True, False)


class TestInProcess:
    @pytest.mark.parametrize("content", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
    def test_what_is_uploaded_is_what_is_downloaded(
        self, local: Client, project: Context, tmp_path: Path, content: bytes
    ) -> None:
        put = local.files.upload(project, "/a/b.bin", content)
        assert (put.success, put.size, put.revision) == (True, len(content), 1)
        got = local.files.download(project, "/a/b.bin", tmp_path / "target")
        assert (got.success, got.size, got.digest) == (True, len(content), put.digest)
        assert (tmp_path / "target").read_bytes() == content

    def test_a_file_that_can_not_be_read_here_is_told_as_what_it_is(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        with pytest.raises(FileNotFoundError, match="absent"):
            local.files.upload(project, "/a", tmp_path / "absent")

    def test_a_target_that_can_not_be_written_here_is_told_as_what_it_is(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        local.files.upload(project, "/a", b"text")
        with pytest.raises(FileNotFoundError, match="nowhere"):
            local.files.download(project, "/a", tmp_path / "nowhere" / "a")

    def test_there_are_no_urls(self, local: Client, project: Context) -> None:
        result = local.files.upload_url(project, "/a")
        assert result.error_message.startswith("[UnsupportedAction.NoServer]")

    def test_a_path_that_is_none_is_refused(self, local: Client, project: Context) -> None:
        result = local.files.upload(project, "../a", b"text")
        with pytest.raises(InvalidRequestError, match="absolute"):
            result.raise_for_error()


class TestLookingAndDeleting:
    @pytest.fixture
    def filled(self, local: Client, project: Context) -> Context:
        for path in ("/a", "/d/b", "/d/e/c"):
            local.files.upload(project, path, path.encode())
        return project

    def test_one_file_is_told_with_what_is_kept_of_it(self, local: Client, filled: Context) -> None:
        file = local.files.stat(filled, "/d/b").file
        assert (file.path, file.type, file.size, file.mode, file.revision) == ("/d/b", "file", 4, "0644", 2)
        assert len(file.digest) == 64

    def test_one_that_is_not_there_is_a_failure(self, local: Client, filled: Context) -> None:
        result = local.files.stat(filled, "/absent")
        with pytest.raises(NotFoundError, match="absent"):
            result.file  # noqa: B018  (reading it is the test)

    def test_files_are_listed_in_a_folder_and_below_it(self, local: Client, filled: Context) -> None:
        page = local.files.list(filled, "/d")
        assert [(file.name, file.type) for file in page.files] == [("b", "file"), ("e", "folder")]
        below = [file.path for file in local.files.iter(filled, "/d")]
        assert below == ["/d/b", "/d/e", "/d/e/c"]

    def test_files_are_deleted_together(self, local: Client, filled: Context) -> None:
        result = local.files.delete(filled, "/a", "/d/e/c")
        assert result.success
        left = [file.path for file in local.files.iter(filled)]
        assert left == ["/d", "/d/b"]

    def test_a_folder_goes_only_where_that_is_said(self, local: Client, filled: Context) -> None:
        refused = local.files.delete(filled, "/d")
        with pytest.raises(ConflictError):
            refused.raise_for_error()
        result = local.files.delete(filled, "/d", recursive=True)
        assert result.success
        left = [file.path for file in local.files.iter(filled)]
        assert left == ["/a"]

    def test_deleting_nothing_is_an_error_of_the_caller(self, local: Client, filled: Context) -> None:
        with pytest.raises(ArgumentError, match="at least one"):
            local.files.delete(filled)

    def test_the_files_of_no_context_raise_why(self, local: Client) -> None:
        with pytest.raises(ApiError, match="NotFound"):
            [file.path for file in local.files.iter("SdkCtx-absent")]
