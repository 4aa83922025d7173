"""Paths, and when two versions of one are the same."""

from __future__ import annotations

import msgspec
import pytest

from ctxmgr.engine.manifest.entries import (
    DIRECTORY,
    FILE,
    LINK,
    Entry,
    absolute,
    is_temporary,
    relative,
    same,
    show,
    tree_order,
)

DOCUMENT = Entry(FILE, 0o644, 5, 3, b"digest", (b"chunk",))


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(DOCUMENT, mode=0o600),
        msgspec.structs.replace(DOCUMENT, mtime_ns=6),
        msgspec.structs.replace(DOCUMENT, digest=b"other"),
        Entry(LINK, 0o644, 5, 3, b"digest", (b"chunk",)),
        None,
    ],
)
def test_versions_differ_in_what_a_user_can_see(other: Entry | None) -> None:
    assert not same(DOCUMENT, other)
    assert not same(other, DOCUMENT)


def test_links_differ_in_their_target() -> None:
    assert not same(Entry(LINK, 0o777, 1, target=b"a"), Entry(LINK, 0o777, 1, target=b"b"))


def test_versions_cut_differently_are_the_same() -> None:
    assert same(DOCUMENT, msgspec.structs.replace(DOCUMENT, chunks=(b"c", b"hunk")))


def test_nothing_is_the_same_as_nothing() -> None:
    assert same(None, None)


@pytest.mark.parametrize("mount", [b"/", b"/tmp/data", b"/tmp/data/"])
@pytest.mark.parametrize("path", [b"a", b"a/b.txt", b"\xff\n/x"])
def test_a_path_survives_the_way_to_the_context_and_back(mount: bytes, path: bytes) -> None:
    assert relative(mount, absolute(mount, path)) == path


def test_paths_outside_the_mount_have_no_relative_path() -> None:
    assert relative(b"/tmp/data", b"/tmp/database/x") is None
    assert relative(b"/tmp/data", b"/tmp/data") is None


def test_the_mount_itself_has_an_absolute_path() -> None:
    assert absolute(b"/tmp/data", b"") == b"/tmp/data"
    assert absolute(b"/", b"") == b"/"


def test_a_directory_comes_right_before_what_is_below_it() -> None:
    assert sorted([b"a-b", b"a/b", b"a", b"a/b/c", b"a/b-"], key=tree_order) == [
        b"a",
        b"a/b",
        b"a/b/c",
        b"a/b-",
        b"a-b",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b".ctxmgr-tmp-0123456789abcdef", True),
        (b"d/.ctxmgr-tmp-0123456789abcdef/x", True),
        (b".ctxmgr-tmp-notes", False),
        (b"x.ctxmgr-tmp-0123456789abcdef", False),
    ],
)
def test_only_names_we_make_ourselves_are_temporary(path: bytes, expected: bool) -> None:
    assert is_temporary(path) is expected


def test_any_name_can_be_shown() -> None:
    assert show(b"a\n\xff").isprintable()
    assert Entry(DIRECTORY, 0o755).size == 0
