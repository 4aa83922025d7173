"""What a node remembers of contexts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctxmgr.engine.manifest.entries import FILE, Entry
from ctxmgr.node.manifests import KEPT_SECONDS, Known, Manifests

CONTEXT = "SdkCtx-1"
A = Entry(FILE, 0o644, 2, 3, b"a" * 32, (b"a" * 32,))
KNOWN = Known(3, "key", [{b"\xff": A}])


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    return Manifests(tmp_path)


def test_what_is_kept_is_found_again(manifests: Manifests) -> None:
    manifests.save(CONTEXT, ["/"], KNOWN)
    assert manifests.load(CONTEXT, ["/"]) == KNOWN


def test_other_paths_and_contexts_are_told_apart(manifests: Manifests) -> None:
    manifests.save(CONTEXT, ["/"], KNOWN)
    assert manifests.load(CONTEXT, ["/a"]) == Known(0, "", [{}])
    assert manifests.load("SdkCtx-2", ["/"]) == Known(0, "", [{}])
    assert manifests.load(CONTEXT, ["/", "/a"]) == Known(0, "", [{}, {}])


@pytest.mark.parametrize("damage", [b"", b"rubbish"], ids=["empty", "rubbish"])
def test_a_damaged_one_is_as_good_as_none(manifests: Manifests, tmp_path: Path, damage: bytes) -> None:
    manifests.save(CONTEXT, ["/"], KNOWN)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert manifests.load(CONTEXT, ["/"]) == Known(0, "", [{}])


def test_one_bit_that_flipped_is_noticed(manifests: Manifests, tmp_path: Path) -> None:
    manifests.save(CONTEXT, ["/"], Known(3, "key", [{os.urandom(64): A}]))
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    assert manifests.load(CONTEXT, ["/"]).head == 0


def test_a_place_that_can_not_be_written_costs_time_alone(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path / "missing")
    manifests.save(CONTEXT, ["/"], KNOWN)
    assert manifests.load(CONTEXT, ["/"]).head == 0


def test_what_nobody_asked_for_in_a_long_time_is_forgotten(manifests: Manifests, tmp_path: Path) -> None:
    manifests.save(CONTEXT, ["/"], KNOWN)
    manifests.save("SdkCtx-2", ["/"], KNOWN)
    old, _ = tmp_path.iterdir()
    os.utime(old, (0, old.stat().st_mtime - KEPT_SECONDS - 1))
    manifests.forget_old()
    assert len(list(tmp_path.iterdir())) == 1
