"""extractPolicy: archives of a context are unpacked on download, for bindings whose policy says so."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from ctxmgr.service import ContextService
from tests.unit.service.servicedoor import Door, binding, fill, tree

EXTRACT: dict[str, object] = {"extractPolicy": {"extract": True}}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            # A time of its own, not the clock's, so that the same members always make the same archive.
            member = zipfile.ZipInfo(name.replace("__", "/"))
            member.external_attr = 0o600 << 16
            archive.writestr(member, content, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tarred(compress: Callable[[bytes], bytes], **members: str) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    return compress(plain.getvalue())


def kept(door: Door, source: Path, files: dict[str, bytes | str]) -> str:
    """A context that holds these files."""
    context = door.context()
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content.encode() if isinstance(content, str) else content)
    session = door.session(binding(context), Root=str(source))
    assert door.sync(session)[0]["status"] == "Success"
    door.delete_session(session)
    return context


def opened(door: Door, context: str, root: Path, **policy: object) -> str:
    root.mkdir(exist_ok=True)
    return door.session(binding(context, "/", **policy), Root=str(root))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_without_the_policy_an_archive_is_a_file_like_any_other(door: Door, tmp_path: Path) -> None:
    content = zipped(a="1")
    context = kept(door, tmp_path / "w", {"data.zip": content, "data.txt": "t"})
    policies: list[dict[str, object]] = [{}, {"extractPolicy": None}, {"extractPolicy": {"extract": False}}]
    for at, policy in enumerate(policies):
        opened(door, context, tmp_path / str(at), **policy)
        assert names(tmp_path / str(at)) == ["data.txt", "data.zip"]
        assert (tmp_path / str(at) / "data.zip").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.zip", zipped(a="1", sub__b="2")),
        ("data.ZIP", zipped(a="1", sub__b="2")),
        ("data.tar", tarred(bytes, a="1", sub__b="2")),
        ("data.tar.gz", tarred(gzip.compress, a="1", sub__b="2")),
        ("data.tgz", tarred(gzip.compress, a="1", sub__b="2")),
        ("data.tar.bz2", tarred(bz2.compress, a="1", sub__b="2")),
        ("data.tar.xz", tarred(lzma.compress, a="1", sub__b="2")),
        ("data.tar.zst", tarred(zstandard.compress, a="1", sub__b="2")),
    ],
)
def test_an_archive_is_unpacked_into_a_folder_of_its_name(
    door: Door, tmp_path: Path, name: str, content: bytes
) -> None:
    context = kept(door, tmp_path / "w", {f"in/{name}": content})
    opened(door, context, tmp_path / "x", **EXTRACT)
    assert tree(tmp_path / "x") == {"in/data/a": "1", "in/data/sub/b": "2"}
    assert door.files(context) == ["/in", f"/in/{name}"], "the context keeps the archive"


def test_the_archive_can_stay_and_its_members_can_go_beside_it(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"in/data.zip": zipped(a="1")})
    policy = {"extract": True, "deleteSrcFile": False, "extractToCurrentFolder": True}
    opened(door, context, tmp_path / "x", extractPolicy=policy)
    assert names(tmp_path / "x") == ["in/a", "in/data.zip"]


def test_syncing_again_changes_nothing(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1", sub__b="2"), "c": "3"})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    for mode in ("upload", "download", "upload"):
        assert door.sync(session, mode)[0]["nothingToSync"], mode
    assert door.files(context) == ["/c", "/data.zip"]


def test_a_changed_member_is_uploaded_as_a_file_and_wins_from_then_on(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1", b="2")})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    (tmp_path / "x/data/a").write_text("changed")
    (done,) = door.sync(session)
    assert (done["status"], done["files"], done["deleted"]) == ("Success", 1, 0)
    assert door.files(context) == ["/data", "/data.zip", "/data/a"]
    opened(door, context, tmp_path / "y", **EXTRACT)
    assert tree(tmp_path / "y") == {"data/a": "changed", "data/b": "2"}


def test_a_member_that_is_deleted_stays_deleted_in_that_workspace(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1", b="2")})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    (tmp_path / "x/data/a").unlink()
    for mode in ("upload", "download", "upload", "download"):
        (done,) = door.sync(session, mode)
        assert (done["status"], done["nothingToSync"]) == ("Success", True)
        assert tree(tmp_path / "x") == {"data/b": "2"}
    assert door.files(context) == ["/data.zip"]


def test_a_new_version_of_the_archive_is_uploaded_and_unpacked_anew(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1", b="2")})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    (tmp_path / "x/data.zip").write_bytes(zipped(a="new", c="3"))
    assert door.sync(session)[0]["files"] == 1
    assert door.sync(session, "download")[0]["status"] == "Success"
    assert tree(tmp_path / "x") == {"data/a": "new", "data/c": "3"}
    opened(door, context, tmp_path / "plain")
    assert (tmp_path / "plain/data.zip").read_bytes() == zipped(a="new", c="3")


def test_turning_unpacking_off_deletes_nothing(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1")})
    door.delete_session(opened(door, context, tmp_path / "x", **EXTRACT))
    session = opened(door, context, tmp_path / "x")
    assert door.sync(session)[0]["status"] == "Success"
    assert names(tmp_path / "x") == ["data.zip", "data/a"]
    assert door.files(context) == ["/data", "/data.zip", "/data/a"]


def test_modes_times_and_inner_links_are_restored(door: Door, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        run = tarfile.TarInfo("bin/run")
        run.mode, run.size, run.mtime = 0o4755, 2, 1_600_000_000
        archive.addfile(run, io.BytesIO(b"go"))
        again = tarfile.TarInfo("bin/again")
        again.type, again.linkname = tarfile.LNKTYPE, "bin/run"
        archive.addfile(again)
        link = tarfile.TarInfo("bin/deep/link")
        link.type, link.linkname = tarfile.SYMTYPE, "../run"
        archive.addfile(link)
    context = kept(door, tmp_path / "w", {"t.tar": buffer.getvalue()})
    opened(door, context, tmp_path / "x", **EXTRACT)
    found = (tmp_path / "x/t/bin/run").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o755, 1_600_000_000), "no set-user-id bit"
    assert os.readlink(tmp_path / "x/t/bin/deep/link") == "../run"
    assert (tmp_path / "x/t/bin/again").read_text() == "go"


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x05\x06", gzip.compress(b"x" * 2000), os.urandom(5000)],
    ids=["empty", "text", "end of a zip", "gzip", "random"],
)
def test_what_is_no_archive_stays_a_file_and_is_told(door: Door, tmp_path: Path, suffix: str, content: bytes) -> None:
    context = kept(door, tmp_path / "w", {f"data.{suffix}": content, "other": "o"})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    (done,) = door.info(session)
    assert done["status"] == "Success"
    assert names(tmp_path / "x") in ([f"data.{suffix}", "other"], ["other"])
    if names(tmp_path / "x") != ["other"]:
        assert "is not unpacked" in done["skipped"][0][1]
        assert (tmp_path / f"x/data.{suffix}").read_bytes() == content
        assert door.sync(session)[0]["nothingToSync"]


def test_two_archives_with_the_same_members_do_not_overwrite_each_other(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"a.zip": zipped(x="a", y="a"), "b.zip": zipped(x="b", z="b")})
    session = opened(door, context, tmp_path / "x", extractPolicy={"extractToCurrentFolder": True})
    assert tree(tmp_path / "x") == {"x": "a", "y": "a", "z": "b"}
    assert door.info(session)[0]["skipped"] == [
        ["b.zip", "is not unpacked as a whole: something else is in the place of 'x'"]
    ]


def test_an_archive_whose_folder_is_a_file_stays_a_file(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1"), "data": "a file"})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    assert names(tmp_path / "x") == ["data", "data.zip"]
    assert "a file has the name of the folder" in door.info(session)[0]["skipped"][0][1]


def test_only_archives_on_the_white_list_are_unpacked(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"in/d.zip": zipped(a="1", b="2"), "out/d.zip": zipped(a="1")})
    lists = {"whiteLists": [{"path": "in", "excludePaths": ["d/b"]}]}
    session = opened(door, context, tmp_path / "x", bwList=lists, **EXTRACT)
    assert tree(tmp_path / "x") == {"in/d/a": "1"}
    assert door.sync(session)[0]["nothingToSync"]
    assert door.files(context) == ["/in", "/in/d.zip", "/out", "/out/d.zip"]


def test_a_folder_that_is_deleted_leaves_the_archive_in_it_in_the_context(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"in/data.zip": zipped(a="1"), "in/c": "3"})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    fill(tmp_path / "x", {})
    for folder in ("in/data", "in"):
        (tmp_path / "x" / folder).rmdir()
    assert door.sync(session)[0]["status"] == "Success"
    assert door.files(context) == ["/in", "/in/data.zip"]


def test_a_lost_cache_of_what_archives_hold_costs_only_time(door: Door, tmp_path: Path) -> None:
    context = kept(door, tmp_path / "w", {"data.zip": zipped(a="1")})
    session = opened(door, context, tmp_path / "x", **EXTRACT)
    for file in (tmp_path / "data/archives").iterdir():
        file.write_bytes(b"damaged")
    assert door.sync(session)[0]["nothingToSync"]
    assert door.sync(session, "download")[0]["nothingToSync"]
