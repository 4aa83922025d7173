"""What is sent in pieces: bounded, resumable, and swept when it is abandoned."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from blake3 import blake3

from ctxmgr.errors import ServiceError
from ctxmgr.service.storage import staging
from ctxmgr.service.storage.staging import StagedMissing, Staging

WHOLE = bytes(range(256)) * 10
NAME = blake3(WHOLE).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "staged"


@pytest.fixture
def staged(folder: Path) -> Staging:
    return Staging(folder)


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*/*"))


def taken(store: Staging, account: str = "local") -> bytes:
    with store.taken(account, NAME) as file:
        return file.read()


def test_pieces_come_in_order_and_what_is_there_is_told(staged: Staging) -> None:
    assert staged.add("local", NAME, len(WHOLE), 0, b"") == 0
    assert staged.add("local", NAME, len(WHOLE), 0, WHOLE[:1000]) == 1000
    assert staged.add("local", NAME, len(WHOLE), 0, WHOLE[:1000]) == 1000
    assert staged.add("local", NAME, len(WHOLE), 2000, WHOLE[2000:]) == 1000
    assert staged.add("local", NAME, len(WHOLE), 1000, WHOLE[1000:]) == len(WHOLE)
    assert taken(staged) == WHOLE


def test_what_was_taken_is_gone_and_what_could_not_be_used_stays(staged: Staging, folder: Path) -> None:
    staged.add("local", NAME, len(WHOLE), 0, WHOLE)
    with pytest.raises(RuntimeError), staged.taken("local", NAME):
        raise RuntimeError
    assert len(files(folder)) == 1
    taken(staged)
    assert files(folder) == []
    with pytest.raises(StagedMissing):
        taken(staged)


def test_what_is_not_what_its_name_says_is_removed(staged: Staging, folder: Path) -> None:
    staged.add("local", NAME, len(WHOLE), 0, bytes(len(WHOLE)))
    with pytest.raises(StagedMissing, match="send it again"):
        taken(staged)
    assert files(folder) == []


def test_accounts_have_places_of_their_own_whatever_they_are_called(staged: Staging, folder: Path) -> None:
    staged.add("../../x", NAME, len(WHOLE), 0, WHOLE)
    with pytest.raises(StagedMissing):
        taken(staged, "local")
    assert taken(staged, "../../x") == WHOLE


@pytest.mark.parametrize(("size", "offset", "piece"), [(10, 5, b"123456"), (staging.MAX_STAGED + 1, 0, b"1")])
def test_more_than_may_be_is_refused(staged: Staging, size: int, offset: int, piece: bytes) -> None:
    with pytest.raises(ServiceError, match=r"InvalidStage\.TooLarge"):
        staged.add("local", NAME, size, offset, piece)


def test_an_account_has_so_much_room_and_no_more(
    staged: Staging, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MAX_STAGED_OF_ACCOUNT", 1500)
    staged.add("local", NAME, len(WHOLE), 0, WHOLE[:1000])
    with pytest.raises(ServiceError, match=r"InsufficientStorage.*1 unfinished uploads of 1000 bytes"):
        staged.add("local", "0" * 64, 600, 0, bytes(600))
    assert staged.add("other", NAME, len(WHOLE), 0, WHOLE[:1000]) == 1000
    monkeypatch.setattr(staging, "MAX_STAGED_AT_ONCE", 0)
    with pytest.raises(ServiceError, match="InsufficientStorage"):
        staged.add("local", "0" * 64, 1, 0, b"x")
    assert len(files(folder)) == 2


def test_a_disk_that_fills_up_in_a_piece_is_left_with_nothing_of_it(
    staged: Staging, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    calls = iter([write, None])

    def filling_up(descriptor: int, data: memoryview, offset: int) -> int:
        if next(calls) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:700], offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", filling_up)
        with pytest.raises(ServiceError, match=r"InsufficientStorage.*No space left"):
            staged.add("local", NAME, len(WHOLE), 0, WHOLE)
    assert files(folder) == []
    staged.add("local", NAME, len(WHOLE), 0, WHOLE)
    assert taken(staged) == WHOLE


def test_what_nobody_adds_to_for_a_day_is_removed(staged: Staging, folder: Path) -> None:
    staged.add("local", NAME, len(WHOLE), 0, WHOLE[:1000])
    staged.add("other", NAME, len(WHOLE), 0, WHOLE[:1000])
    (old,) = (file for file in files(folder) if file.parent != files(folder)[0].parent)
    os.utime(old, (0, 0))
    Staging(folder).add("third", NAME, len(WHOLE), 0, WHOLE)
    assert old not in files(folder)
    assert len(files(folder)) == 2
