"""A small store to prune and to damage, and what tests ask of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ctxmgr.service import ContextService
from ctxmgr.service.storage.blobstore import Pack
from tests.support.keeping import Elsewhere
from tests.unit.service.servicedoor import Door, binding, fill, tree

__all__ = ["Stored", "flipped", "noise", "packs_kept", "packs_of"]


def noise(size: int = 20_000) -> str:
    """Text that hardly can be compressed."""
    return os.urandom(size // 2).hex()


def packs_of(data: Path) -> list[Path]:
    """The files of the packs in a data folder, by name."""
    return sorted((data / "blobs" / "packs").glob("??/*"))


def packs_kept(service: ContextService) -> list[Pack]:
    """The packs of a service, wherever it keeps them, by name."""
    return sorted(service._runtime._packs.packs())


def flipped(file: Path, place: int) -> Callable[[], None]:
    """Flip a bit of a file, and return what flips it back."""

    def flip() -> None:
        with file.open("r+b") as opened:
            opened.seek(place)
            (byte,) = opened.read(1)
            opened.seek(place)
            opened.write(bytes([byte ^ 0x10]))

    flip()
    return flip


class Stored:
    """A data folder, with what is kept elsewhere, and one context, which a directory is synced with."""

    def __init__(self, folder: Path, elsewhere: Elsewhere | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.root = folder / "w"
        self.elsewhere = elsewhere or {}
        self.door = Door(self.opened())
        self.context = self.door.context()
        fill(self.root, {})
        self.session = self.door.session(binding(self.context), Root=str(self.root))

    def opened(self, *, resume: bool = False) -> ContextService:
        """Open another service on the same."""
        return ContextService.open(self.data, resume=resume, **self.elsewhere)

    def sync(self, files: dict[str, str]) -> None:
        """Make the directory hold these files, and the context too."""
        fill(self.root, files)
        (task,) = self.door.sync(self.session)
        assert task["status"] == "Success", task

    def numbers(self) -> list[int]:
        """The numbers of the context's revisions, in order."""
        return sorted(item["Revision"] for item in self.door.data("ListRevisions", ContextId=self.context))

    def restored(self) -> dict[str, str]:
        """What the context holds, in a directory that was empty."""
        place = self.folder / f"restored-{os.urandom(4).hex()}"
        place.mkdir()
        self.door.session(binding(self.context), Root=str(place))
        return tree(place)

    def read(self, path: str, revision: int = 0) -> bytes:
        """The content of one file."""
        return b"".join(self.door.service.read_file(self.context, path, revision=revision).content)

    def assert_whole(self) -> None:
        """Read everything, and find nothing wrong."""
        checked = self.door.data("CheckStore", ReadData=True)
        assert (checked["Damages"], checked["Affected"]) == ([], [])

    def close(self) -> None:
        self.door.service.close()
