"""uploadMode Archive: the context holds a pack per directory, and everybody who binds it sees the files."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from ctxmgr.engine.archives.archives import Archives
from ctxmgr.engine.archives.cache import ArchiveCache
from ctxmgr.engine.archives.streams import store as store_content
from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import FILE, LINK, Entry
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import revisions
from ctxmgr.service.catalog.schema import files
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memorycontent import MemoryContent
from tests.unit.service.servicedoor import Door, binding, fill, tree

ARCHIVE: dict[str, object] = {"uploadPolicy": {"uploadMode": "Archive"}}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data")
    yield Door(service)
    service.close()


def opened(door: Door, context: str, root: Path, **policy: object) -> str:
    root.mkdir(exist_ok=True)
    return door.session(binding(context, "/", **policy), Root=str(root))


def uploaded(door: Door, context: str, root: Path, files: dict[str, str], **policy: object) -> str:
    fill(root, files)
    session = opened(door, context, root, **policy)
    assert door.sync(session)[0]["status"] == "Success"
    return session


def restored(door: Door, context: str, root: Path, **policy: object) -> dict[str, str]:
    opened(door, context, root, **policy)
    return tree(root)


PACK = ".ctxmgr-pack.tar.zst"
FILES = {"a": "1", "b": "2", "sub/c": "3", "sub/d": "4"}


def test_the_files_of_a_directory_are_one_object(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    assert door.files(context) == [f"/{PACK}", "/sub", f"/sub/{PACK}"]
    assert door.sync(session)[0]["nothingToSync"]
    assert door.sync(session, "download")[0]["nothingToSync"]


@pytest.mark.parametrize(
    "policy", [ARCHIVE, {}, {"extractPolicy": {"extract": True}}, {"extractPolicy": {"extract": False}}]
)
def test_every_binding_sees_the_files(door: Door, tmp_path: Path, policy: dict[str, object]) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    assert restored(door, context, tmp_path / "x", **policy) == FILES


def test_only_the_directory_that_changed_is_packed_anew(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    fill(tmp_path / "w", {**FILES, "sub/c": "changed", "sub/new": "5"})
    (done,) = door.sync(session)
    assert (done["files"], done["deleted"]) == (2, 0)
    listed = door.data("DescribeContextFiles", ContextId=context, ParentFolderPath="/", Recursive=True)
    assert {file["FilePath"]: file["Revision"] for file in listed} == {f"/{PACK}": 1, "/sub": 1, f"/sub/{PACK}": 2}
    assert restored(door, context, tmp_path / "x") == {**FILES, "sub/c": "changed", "sub/new": "5"}


def test_a_deleted_file_leaves_its_pack_and_an_empty_pack_ends(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    fill(tmp_path / "w", {"a": "1", "b": "2", "sub/c": "3"})
    assert door.sync(session)[0]["deleted"] == 1
    assert restored(door, context, tmp_path / "x") == {"a": "1", "b": "2", "sub/c": "3"}
    fill(tmp_path / "w", {"a": "1", "b": "2"})
    door.sync(session)
    assert door.files(context) == [f"/{PACK}", "/sub"]
    (tmp_path / "w/sub").rmdir()
    (tmp_path / "w/a").unlink()
    (tmp_path / "w/b").unlink()
    door.sync(session)
    assert door.files(context) == []


def test_excluded_paths_stay_single_files(door: Door, tmp_path: Path) -> None:
    context = door.context()
    policy = {"uploadPolicy": {"uploadMode": "Archive", "archiveExcludePaths": ["output/", "config.json"]}}
    files = {"a": "1", "config.json": "{}", "output/x": "o", "output/deep/y": "o"}
    uploaded(door, context, tmp_path / "w", files, **policy)
    assert door.files(context) == [
        f"/{PACK}", "/config.json", "/output", "/output/deep", "/output/deep/y", "/output/x"
    ]  # fmt: skip
    assert restored(door, context, tmp_path / "x") == files


def test_a_binding_without_archive_mode_changes_and_deletes_packed_files(door: Door, tmp_path: Path) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    session = opened(door, context, tmp_path / "x")
    fill(tmp_path / "x", {"a": "changed", "sub/c": "3", "sub/d": "4"})
    (done,) = door.sync(session)
    assert (done["files"], done["deleted"]) == (1, 1)
    assert door.sync(session)[0]["nothingToSync"]
    assert door.files(context) == ["/a", "/sub", f"/sub/{PACK}"]
    assert restored(door, context, tmp_path / "y", **ARCHIVE) == {"a": "changed", "sub/c": "3", "sub/d": "4"}


def test_single_files_join_the_pack_when_their_directory_is_packed(door: Door, tmp_path: Path) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "w", FILES)
    session = opened(door, context, tmp_path / "x", **ARCHIVE)
    assert door.sync(session)[0]["nothingToSync"]
    fill(tmp_path / "x", {**FILES, "sub/e": "5"})
    door.sync(session)
    assert door.files(context) == ["/a", "/b", "/sub", f"/sub/{PACK}"]
    assert restored(door, context, tmp_path / "y") == {**FILES, "sub/e": "5"}


def test_two_workspaces_that_change_one_directory_lose_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one = uploaded(door, context, tmp_path / "one", FILES, **ARCHIVE)
    two = opened(door, context, tmp_path / "two", **ARCHIVE)
    fill(tmp_path / "one", {**FILES, "sub/c": "of one"})
    fill(tmp_path / "two", {**FILES, "sub/d": "of two", "sub/n": "new"})
    for session in (one, two):
        assert door.sync(session)[0]["status"] == "Success"
    for session in (one, two):
        assert door.sync(session, "download")[0]["status"] == "Success"
    wanted = {**FILES, "sub/c": "of one", "sub/d": "of two", "sub/n": "new"}
    assert tree(tmp_path / "one") == tree(tmp_path / "two") == wanted


def test_a_directory_that_becomes_a_file_and_back(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    fill(tmp_path / "w", {"a": "1", "b": "2"})
    (tmp_path / "w/sub").rmdir()
    fill(tmp_path / "w", {"a": "1", "b": "2", "sub": "a file"})
    door.sync(session)
    assert door.files(context) == [f"/{PACK}"]
    assert restored(door, context, tmp_path / "x") == {"a": "1", "b": "2", "sub": "a file"}
    (tmp_path / "w/sub").unlink()
    fill(tmp_path / "w", FILES)
    door.sync(session)
    assert restored(door, context, tmp_path / "y") == FILES


def test_a_local_version_that_a_download_replaces_is_in_the_history(door: Door, tmp_path: Path) -> None:
    context = door.context()
    one = uploaded(door, context, tmp_path / "one", {"a": "1", "b": "2"}, **ARCHIVE)
    two = opened(door, context, tmp_path / "two", **ARCHIVE)
    fill(tmp_path / "one", {"a": "of one", "b": "2"})
    door.sync(one)
    fill(tmp_path / "two", {"a": "of two", "b": "2"})
    assert door.sync(two, "download")[0]["status"] == "Success"
    assert tree(tmp_path / "two") == {"a": "of one", "b": "2"}
    assert door.files(context) == [f"/{PACK}"]
    assert restored(door, context, tmp_path / "x") == {"a": "of one", "b": "2"}
    notes = [revision["Note"] for revision in door.data("ListRevisions", ContextId=context)]
    assert "local versions" in notes


def test_what_white_lists_leave_out_stays_in_its_pack(door: Door, tmp_path: Path) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "w", {"in/a": "1", "in/b": "2", "c": "3"}, **ARCHIVE)
    lists = {"whiteLists": [{"path": "in", "excludePaths": ["b"]}]}
    session = opened(door, context, tmp_path / "x", bwList=lists, **ARCHIVE)
    assert tree(tmp_path / "x") == {"in/a": "1"}
    fill(tmp_path / "x", {"in/a": "changed", "c": "not mine"})
    door.sync(session)
    assert restored(door, context, tmp_path / "y") == {"in/a": "changed", "in/b": "2", "c": "3"}


def test_everything_that_is_known_of_a_file_comes_back(door: Door, tmp_path: Path) -> None:
    context = door.context()
    root = tmp_path / "w"
    root.mkdir()
    odd = [b"caf\xe9", b"new\nline", "schön".encode(), b" ", b"x" * 255, b"README", b"readme", b"back\\slash"]
    for name in odd:
        (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_bytes(name)
    (root / "run").write_bytes(os.urandom(3 << 20))
    (root / "run").chmod(0o4711)
    os.utime(root / "run", ns=(0, 1_234_567_890_123_456_789))
    os.utime(root / "README", ns=(0, -1_500_000_001))
    os.symlink(b"/no/where/\xff", root / "link")
    (root / "empty").mkdir(mode=0o700)
    assert door.sync(opened(door, context, root, **ARCHIVE))[0]["status"] == "Success"
    fresh = tmp_path / "fresh"
    session = opened(door, context, fresh)
    assert sorted(os.listdir(os.fsencode(fresh))) == sorted(os.listdir(os.fsencode(root)))
    for name in os.listdir(os.fsencode(root)):
        one, other = (os.lstat(os.path.join(os.fsencode(folder), name)) for folder in (root, fresh))
        assert one.st_mode == other.st_mode
        assert stat.S_ISDIR(one.st_mode) or one.st_mtime_ns == other.st_mtime_ns, name
        if stat.S_ISREG(one.st_mode):
            paths = [os.path.join(os.fsencode(folder), name) for folder in (root, fresh)]
            assert len({Path(os.fsdecode(path)).read_bytes() for path in paths}) == 1
    assert os.readlink(os.fsencode(fresh) + b"/link") == b"/no/where/\xff"
    for file in (tmp_path / "data/archives").iterdir():
        file.unlink()
    for mode in ("upload", "download"):
        assert door.sync(session, mode)[0]["nothingToSync"], "also when the packs have to be read again"


def test_a_pack_is_a_tar_that_other_programs_read(door: Door, tmp_path: Path) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "w", {"a": "1", "b": "2"}, **ARCHIVE)
    engine = door.service._runtime
    with engine.catalog.read() as connection:
        entry = revisions.manifest(connection, context, "/")[PACK.encode()]
    ((_, pieces),) = BlobReader(engine.store("local").content).contents({b"": entry})
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(b"".join(pieces))).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        assert sorted(archive.getnames()) == ["a", "b"]


def test_a_pack_that_is_lost_fails_the_sync_and_changes_nothing(door: Door, tmp_path: Path) -> None:
    context = door.context()
    session = uploaded(door, context, tmp_path / "w", FILES, **ARCHIVE)
    for folder in ("archives", "blobs"):
        for file in (tmp_path / "data" / folder).rglob("*"):
            if file.is_file():
                file.unlink()
    (done,) = door.sync(session, "download")
    assert done["status"] == "Failed"
    assert PACK in done["errorMessage"]
    assert tree(tmp_path / "w") == FILES


def test_what_is_known_of_archives_is_forgotten_when_nobody_asks(tmp_path: Path) -> None:
    folder = tmp_path / "known"
    folder.mkdir()
    for name, age in (("old", 40), ("young", 1)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age * 86400,) * 2)
    ArchiveCache(folder).forget_old()
    assert os.listdir(folder) == ["young"]


ENTRIES = st.builds(
    lambda mode, mtime, content: (mode, mtime, content),
    st.integers(0, 0o7777),
    st.integers(-(1 << 62), 1 << 62),
    st.binary(max_size=50) | st.just(b"z" * 2_000_000),
)
NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, ENTRIES, min_size=1, max_size=6), st.dictionaries(NAMES, NAMES, max_size=3))
def test_packing_and_unpacking_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, files: dict[bytes, tuple[int, int, bytes]], links: dict[bytes, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    stored = MemoryContent(BlobStore.open(folder / "blobs"))
    writer = PackWriter(stored)
    members = {name: Entry(LINK, 0o777, 7, target=target) for name, target in links.items()}
    for name, (mode, mtime_ns, content) in files.items():
        members[name] = Entry(FILE, mode, mtime_ns, *store_content(io.BytesIO(content), writer))
    writer.flush()
    entry = Archives(ArchiveCache(folder / "one"), stored, "").pack(members, writer, lambda: None)
    writer.flush()
    assert Archives(ArchiveCache(folder / "two"), stored, "").members(b"p", entry, lambda: None) == members


def test_a_pack_whose_chunks_are_those_of_another_is_not_unpacked(door: Door, tmp_path: Path) -> None:
    context = door.context()
    uploaded(door, context, tmp_path / "one", {"a/x": "first", "b/x": "second"}, **ARCHIVE)
    with door.service._runtime.catalog.write() as connection:
        packs = connection.execute(
            select(files.c.path, files.c.chunks, files.c.size).where(files.c.target == b"pack")
        ).all()
        for row, other in zip(packs, reversed(packs), strict=True):
            swapped = {"chunks": other.chunks, "size": other.size}
            connection.execute(update(files).where(files.c.path == row.path).values(**swapped))
    shutil.rmtree(door.service._runtime.folder.archives)
    (tmp_path / "two").mkdir()
    made = door.data("CreateMcpSession", PersistenceDataList=[binding(context)], Root=str(tmp_path / "two"))
    (task,) = door.wait(made["SessionId"], made["TaskIds"])
    assert task["status"] == "Failed"
    assert "is damaged: the catalog lists chunks that give" in task["errorMessage"]
    assert tree(tmp_path / "two") == {}
