"""Files that are there as a whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ctxmgr.engine.workspace.durable import replace_durably


def test_a_file_takes_the_place_of_the_old_one_for_its_owner_alone(tmp_path: Path) -> None:
    final = tmp_path / "file"
    final.write_bytes(b"old")
    replace_durably(final, memoryview(b"new"), unfinished=tmp_path / "file.new")
    assert final.read_bytes() == b"new"
    assert final.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_crash_left_unfinished_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file.new").write_bytes(b"longer than what is written now")
    replace_durably(tmp_path / "file", b"new", unfinished=tmp_path / "file.new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    final = tmp_path / "file"
    final.write_bytes(b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        replace_durably(final, b"new", unfinished=tmp_path / "file.new")
    assert final.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
