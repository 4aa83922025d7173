"""Archives that mean harm: nothing leaves the folder, nothing eats the machine, and the reason is told."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ctxmgr.engine.archives import members, unpacking
from ctxmgr.engine.archives.unpacking import suffix_of, unpack
from ctxmgr.engine.content.chunks import BlobReader, PackWriter
from ctxmgr.engine.manifest.entries import DIRECTORY, Entry, parent
from ctxmgr.engine.manifest.errors import ArchiveError
from ctxmgr.engine.manifest.merge import plan
from ctxmgr.engine.workspace.apply import apply
from ctxmgr.engine.workspace.scan import scan
from ctxmgr.engine.workspace.state import WorkspaceState
from ctxmgr.service.storage.blobstore import BlobStore
from tests.support.memorycontent import MemoryContent


class Store:
    """Somewhere to unpack to, and a workspace to write it in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = MemoryContent(BlobStore.open(folder / "blobs"))

    def unpack(self, content: bytes, suffix: bytes, check: Callable[[], None] = lambda: None) -> dict[bytes, Entry]:
        writer = PackWriter(self.content)
        pieces = (memoryview(content)[at : at + 1000] for at in range(0, len(content), 1000))
        found = unpack(pieces, suffix, writer, self.folder, check)
        writer.flush()
        return found

    def write(self, found: dict[bytes, Entry], root: Path) -> None:
        """Write it as a download does."""
        root.mkdir()
        scanned = scan(root, WorkspaceState())
        apply(root, plan({}, {}, found, mode="download"), scanned, BlobReader(self.content))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def zip_of(*items: zipfile.ZipInfo | str, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for item in items:
            archive.writestr(item, content)
    return buffer.getvalue()


def zip_item(name: str, mode: int = 0o100644, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.create_system = system
    info.external_attr = mode << 16
    return info


def tar_of(*items: tarfile.TarInfo, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for item in items:
            if item.isreg():
                item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


def tar_item(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


EVIL_NAMES = ["../x", "/etc/x", "a/../../x", "a/b/../../../x", "..", "a/..", "x" * 256, "/".join(["d" * 200] * 11)]
EVIL_LINKS = ["/etc/passwd", "..", "../x", "a/..", "a/../../x", "../../x", "", "./../x"]


@pytest.mark.parametrize("name", [*EVIL_NAMES, ".ctxmgr-tmp-0123456789abcdef"])
def test_a_name_that_leads_out_or_can_not_be_written_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ArchiveError, match="name"):
        store.unpack(zip_of(zip_item(name)), b".zip")
    with pytest.raises(ArchiveError, match="name"):
        store.unpack(tar_of(tar_item(name)), b".tar")


@pytest.mark.parametrize("name", ["..\\x", "a\\..\\..\\x", "C:\\x", "c:/x", "\\x"])
def test_windows_names_are_read_as_windows_means_them(store: Store, name: str) -> None:
    with pytest.raises(ArchiveError, match="name"):
        store.unpack(zip_of(zip_item(name, system=0)), b".zip")


def test_backslashes_of_windows_are_slashes_and_those_of_unix_are_not(store: Store) -> None:
    assert set(store.unpack(zip_of(zip_item("a\\b", system=0)), b".zip")) == {b"a", b"a/b"}
    assert set(store.unpack(zip_of(zip_item("a\\b")), b".zip")) == {b"a\\b"}


@pytest.mark.parametrize("target", EVIL_LINKS)
def test_a_link_that_leads_out_is_refused(store: Store, target: str) -> None:
    with pytest.raises(ArchiveError, match="links to"):
        store.unpack(tar_of(tar_item("l", tarfile.SYMTYPE, target)), b".tar")
    with pytest.raises(ArchiveError, match="links to"):
        store.unpack(zip_of(zip_item("l", 0o120777), content=target.encode()), b".zip")


def test_links_that_would_lead_out_together_are_refused(store: Store) -> None:
    with pytest.raises(ArchiveError, match="may lead out"):
        store.unpack(tar_of(tar_item("here", tarfile.SYMTYPE, "."), tar_item("l", tarfile.SYMTYPE, "here/..")), b".tar")


def test_a_member_below_a_link_is_refused(store: Store) -> None:
    with pytest.raises(ArchiveError, match="is no directory"):
        store.unpack(tar_of(tar_item("l", tarfile.SYMTYPE, "d"), tar_item("d/x"), tar_item("l/y")), b".tar")


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "missing", "l"])
def test_a_hard_link_to_anything_but_a_member_is_refused(store: Store, target: str) -> None:
    with pytest.raises(ArchiveError):
        store.unpack(tar_of(tar_item("l", tarfile.LNKTYPE, target)), b".tar")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"])
def test_devices_and_fifos_are_refused(store: Store, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="device"):
        store.unpack(tar_of(tar_item("x", kind)), b".tar")
    with pytest.raises(ArchiveError, match="device"):
        store.unpack(zip_of(zip_item("x", 0o010644)), b".zip")


@pytest.mark.parametrize(
    ("one", "other"), [("README", "readme"), ("caf\u00e9", "cafe\u0301"), ("A/x", "a/y"), ("ß", "SS")]
)
def test_names_that_are_one_on_other_systems_are_refused(store: Store, one: str, other: str) -> None:
    with pytest.raises(ArchiveError, match="same name"):
        store.unpack(zip_of(zip_item(one), zip_item(other)), b".zip")
    with pytest.raises(ArchiveError, match="same name"):
        store.unpack(tar_of(tar_item(one), tar_item(other)), b".tar")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_members_of_a_name_is_refused_and_a_tar_means_the_later(store: Store) -> None:
    with pytest.raises(ArchiveError, match="two members"):
        store.unpack(zip_of(zip_item("a"), zip_item("a")), b".zip")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for content in (b"old", b"new!"):
            info = tarfile.TarInfo("a")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert store.unpack(buffer.getvalue(), b".tar")[b"a"].size == 4


def test_an_encrypted_zip_is_refused(store: Store) -> None:
    content = bytearray(zip_of("secret"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at] |= 1
    with pytest.raises(ArchiveError, match="'secret' is encrypted"):
        store.unpack(bytes(content), b".zip")


def test_a_zip_method_that_may_ask_for_any_memory_is_refused(store: Store) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x" * 100)
    with pytest.raises(ArchiveError, match="method 14"):
        store.unpack(buffer.getvalue(), b".zip")


def test_a_damaged_member_is_refused(store: Store) -> None:
    content = zip_of("a", content=b"some content").replace(b"some content", b"soMe content")
    with pytest.raises(ArchiveError, match="damaged"):
        store.unpack(content, b".zip")


COMPRESSED: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b".tar.gz", gzip.compress),
    (b".tar.bz2", bz2.compress),
    (b".tar.xz", lzma.compress),
    (b".tar.zst", zstandard.compress),
]


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED)
def test_a_bomb_is_refused_before_it_fills_anything(
    store: Store, monkeypatch: pytest.MonkeyPatch, suffix: bytes, compress: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(members, "RATIO_FREE_BYTES", 4 << 20)
    bomb = compress(tar_of(tar_item("zeros"), content=bytes(30 << 20)))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="bomb"):
        store.unpack(bomb, suffix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_a_zip_bomb_is_refused_whatever_size_it_claims(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "RATIO_FREE_BYTES", 4 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30 << 20))
    content = buffer.getvalue()
    with pytest.raises(ArchiveError, match="bomb"):
        store.unpack(content, b".zip")
    with pytest.raises(ArchiveError):
        store.unpack(content.replace(struct.pack("<I", 30 << 20), struct.pack("<I", 10)), b".zip")


def test_too_many_members_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 20)
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 20)
    assert len(store.unpack(tar_of(*(tar_item(f"{at}") for at in range(20))), b".tar")) == 20
    with pytest.raises(ArchiveError, match="more than 20 members"):
        store.unpack(tar_of(*(tar_item(f"{at}") for at in range(21))), b".tar")
    with pytest.raises(ArchiveError, match="more than 20 members"):
        store.unpack(zip_of(*(zip_item(f"{at}") for at in range(21))), b".zip")
    with pytest.raises(ArchiveError, match="more than 20 members"):
        store.unpack(tar_of(tar_item("/".join("abcdefghijklmnopqrstuvwxyz"))), b".tar")


def test_a_table_that_says_it_is_huge_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "_MOST_AT_ONCE", 1 << 20)
    item = tar_item("x")
    item.pax_headers = {"comment": "c" * (2 << 20)}
    with pytest.raises(ArchiveError, match="tables"):
        store.unpack(gzip.compress(tar_of(item)), b".tar.gz")


def test_an_xz_that_asks_for_much_memory_is_refused(store: Store) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28, "preset": 0}]
    content = lzma.compress(tar_of(tar_item("x")), filters=filters)
    with pytest.raises(ArchiveError, match="damaged"):
        store.unpack(content, b".tar.xz")


@pytest.mark.parametrize(("suffix", "compress"), [*COMPRESSED, (b".tar", bytes)])
def test_streams_of_several_parts_and_cut_off_ones(
    store: Store, suffix: bytes, compress: Callable[[bytes], bytes]
) -> None:
    content = tar_of(tar_item("x"), content=os.urandom(3000))
    if suffix != b".tar":
        parts = compress(content[:700]) + compress(content[700:])
        assert store.unpack(parts, suffix)[b"x"].size == 3000
    with pytest.raises(ArchiveError, match="damaged"):
        store.unpack(compress(content)[:1500], suffix)


def test_unpacking_stops_when_it_is_told_to(store: Store) -> None:
    class Stopped(Exception):
        pass

    def check() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        store.unpack(zip_of("a"), b".zip", check)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(b"a.zip", b".zip"), (b"A.Tar.GZ", b".tar.gz"), (b"a.gz", b""), (b".zip", b""), (b".tar.gz", b""), (b"zip", b"")],
)
def test_an_archive_is_known_by_its_name(name: bytes, suffix: bytes) -> None:
    assert suffix_of(name) == suffix


PARTS = st.sampled_from(["a", "b", "..", ".", "", "A", "é", "e\u0301", "l", "x" * 255, "\\", "..\\", "C:"])
MEMBER_NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.text(max_size=8)
TARGETS = st.lists(PARTS, max_size=4).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


def tar_with(items: list[tuple[str, bytes, str]]) -> bytes:
    return tar_of(*(tar_item(name, kind, target) for name, kind, target in items), content=b"data")


def zip_with(items: list[tuple[str, bytes, str]]) -> bytes:
    modes = {tarfile.DIRTYPE: 0o040755, tarfile.SYMTYPE: 0o120777, tarfile.FIFOTYPE: 0o010644}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, kind, target in items:
            item = zip_item(name + "/" * (kind == tarfile.DIRTYPE), modes.get(kind, 0o100644), 3 if target else 0)
            archive.writestr(item, target)
    return buffer.getvalue()


def _led_to(path: str) -> str:
    """Return where a path leads; one that leads to itself is where it is."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        return os.path.realpath(os.path.dirname(path) if error.errno == errno.ELOOP else path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.tuples(MEMBER_NAMES, KINDS, TARGETS), min_size=1, max_size=5),
    kind=st.sampled_from([(b".tar", tar_with), (b".zip", zip_with)]),
)
@example(items=[("a", tarfile.SYMTYPE, "a//a")], kind=(b".tar", tar_with))
def test_nothing_ever_leaves_the_folder(
    tmp_path_factory: pytest.TempPathFactory,
    items: list[tuple[str, bytes, str]],
    kind: tuple[bytes, Callable[[list[tuple[str, bytes, str]]], bytes]],
) -> None:
    suffix, make = kind
    try:
        content = make([(name.replace("\0", "0"), *rest) for name, *rest in items])  # type: ignore[misc]  # three of them
    except (ValueError, UnicodeError):
        return
    outer = tmp_path_factory.mktemp("outer")
    store = Store(outer)
    try:
        found = store.unpack(content, suffix)
    except ArchiveError:
        return
    for path, entry in found.items():
        assert path
        assert not {b"", b".", b".."} & set(path.split(b"/"))
        assert not parent(path) or found[parent(path)].kind == DIRECTORY
        assert entry.mode & 0o7000 == 0
    root = outer / "inside"
    before = sorted(os.listdir(outer))
    store.write(found, root)
    assert sorted(os.listdir(outer)) == sorted([*before, "inside"])
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            real = _led_to(os.path.join(folder, name))
            assert real == str(root) or real.startswith(f"{os.path.realpath(root)}/")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([b".zip", b".tar", b".tar.gz", b".tar.bz2", b".tar.xz", b".tar.zst"]))
def test_no_bytes_make_it_fail_otherwise(store: Store, data: st.DataObject, suffix: bytes) -> None:
    """Archives with some bytes changed or cut off are read or refused, and nothing else happens."""
    items = [("a", tarfile.REGTYPE, ""), ("d/l", tarfile.SYMTYPE, "x")]
    compress = dict(COMPRESSED).get(suffix, bytes)
    content = bytearray(zip_with(items) if suffix == b".zip" else compress(tar_with(items)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    with suppress(ArchiveError):
        store.unpack(bytes(content[:cut]), suffix)
