"""What is remembered of a workspace between two syncs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec
import pytest
import zstandard

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, Fingerprint
from ctxmgr.engine.manifest.merge import plan
from ctxmgr.engine.sync.plan import advance
from ctxmgr.engine.workspace.scan import Scan
from ctxmgr.engine.workspace.state import PackedState, WorkspaceState
from ctxmgr.engine.workspace.state import load_state as load_packed
from ctxmgr.engine.workspace.state import save_state as save_packed
from ctxmgr.errors import DataFolderError

SEEN = Fingerprint(0o100644, 3, 1, 2, 3)
NEWER = Fingerprint(0o100644, 3, 9, 9, 9)
STATE = WorkspaceState(
    7,
    {
        b"a": (Entry(FILE, 0o644, 1, 3, b"d" * 32, (b"c" * 32,)), SEEN),
        b"\xff\n": (Entry(FILE, 0o644, 1, 3, b"d" * 32, ()), None),
        b"d": (Entry(DIRECTORY, 0o700), None),
        b"d/x": (Entry(LINK, 0o777, 1, target=b"y"), NEWER),
    },
    ["a rule"],
    "key",
    frozenset({"pack", "other"}),
)


def save_state(file: Path, state: WorkspaceState) -> None:
    save_packed(file, PackedState.of(state))


def load_state(file: Path) -> WorkspaceState:
    return load_packed(file).unpacked()


def test_a_saved_state_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "made" / "state"
    save_state(file, STATE)
    assert load_state(file) == STATE
    assert os.listdir(file.parent) == ["state"]


def test_a_missing_state_is_empty_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_state(tmp_path / "none") == WorkspaceState()
    assert not caplog.records


def test_a_damaged_state_is_empty_whichever_byte_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "state"
    save_state(file, STATE)
    good = file.read_bytes()
    for position in range(len(good)):
        file.write_bytes(good[:position] + bytes([good[position] ^ 0x55]) + good[position + 1 :])
        caplog.clear()
        state = load_state(file)
        # Some bits of the zstd frame's header carry no meaning; what can be read is then exactly what was saved.
        assert state in (WorkspaceState(), STATE)
        assert state == STATE or [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_state_cut_off_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "state"
    save_state(file, STATE)
    good = file.read_bytes()
    for length in range(len(good)):
        file.write_bytes(good[:length])
        assert load_state(file) == WorkspaceState()


def test_a_state_that_can_not_be_opened_is_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_state(tmp_path) == WorkspaceState()
    assert "can't be read" in caplog.text


def test_a_save_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "state"
    save_state(file, STATE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataFolderError, match="what was synced: No space left on device; make room"):
        save_state(file, WorkspaceState(8))
    assert load_state(file) == STATE
    assert os.listdir(tmp_path) == ["state"]


def file(text: bytes) -> Entry:
    return Entry(FILE, 0o644, 1, 3, text * 32, (text * 32,))


def test_after_an_upload_only_what_both_sides_have_is_the_new_base() -> None:
    base = {b"left": file(b"0"), b"mine": file(b"0")}
    local = {b"left": file(b"0"), b"mine": file(b"1"), b"fresh": file(b"2")}
    remote = {b"left": file(b"9"), b"mine": file(b"0")}
    scanned = Scan(manifest=local, fingerprints=dict.fromkeys(local, SEEN), racy={b"fresh"})
    after = advance(plan(base, local, remote, mode="upload"), scanned, {}, 5)
    assert after == WorkspaceState(
        5, {b"left": (file(b"0"), SEEN), b"mine": (file(b"1"), SEEN), b"fresh": (file(b"2"), None)}
    )


def test_after_a_download_what_was_written_has_its_new_fingerprint() -> None:
    base = {b"theirs": file(b"0"), b"mine": file(b"0"), b"same": file(b"0")}
    local = {**base, b"mine": file(b"1")}
    remote = {**base, b"theirs": file(b"9")}
    scanned = Scan(manifest=local, fingerprints=dict.fromkeys(local, SEEN))
    after = advance(plan(base, local, remote, mode="download"), scanned, {b"theirs": NEWER}, 5)
    assert after == WorkspaceState(
        5, {b"theirs": (file(b"9"), NEWER), b"mine": (file(b"0"), None), b"same": (file(b"0"), SEEN)}
    )


def test_a_state_of_the_first_version_is_read(tmp_path: Path) -> None:
    files = {path: list(known) for path, known in STATE.files.items()}
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(msgspec.msgpack.encode([7, files]))
    (tmp_path / "state").write_bytes(b"ctxmgr-state-1\n" + packed)
    assert load_state(tmp_path / "state") == WorkspaceState(7, STATE.files)


def test_what_is_known_of_some_paths_is_replaced_and_the_rest_stays() -> None:
    before = PackedState.of(STATE)
    after = WorkspaceState(8, {b"d/y": STATE.files[b"a"]}, [], "next", frozenset({"pack"}))
    advanced = before.advanced([b"a", b"d/x"], after)
    files = {path: known for path, known in STATE.files.items() if path not in (b"a", b"d/x")}
    assert advanced.unpacked() == WorkspaceState(8, files | after.files, [], "next", frozenset({"pack"}))
    assert advanced.prints == PackedState.of(advanced.unpacked()).prints
    assert (before.count, advanced.count) == (3, 2)
    assert before.unpacked() == STATE
