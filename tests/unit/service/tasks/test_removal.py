"""Removing a directory: whatever is in it, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctxmgr.service.tasks.removal import remove_tree
from tests.unit.service.tasks.deeptree import deepen


@pytest.mark.parametrize("levels", [1, 3000])
def test_a_tree_of_any_depth_is_removed(tmp_path: Path, levels: int) -> None:
    (tmp_path / "tree").mkdir()
    deepen(tmp_path / "tree", levels)
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == []


def test_what_is_gone_is_no_failure(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "none"))
    remove_tree(str(tmp_path / "none" / "below"))


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    for folder in (outside, tree, tree / "sub"):
        folder.mkdir()
    (outside / "file").write_text("mine")
    (tree / "to-folder").symlink_to(outside)
    (tree / "sub" / "to-file").symlink_to(outside / "file")
    (tree / "sub" / "nowhere").symlink_to("nothing")
    os.mkfifo(tree / "sub" / "fifo")
    outside.chmod(0o500)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "file").read_text() == "mine"
    assert outside.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize("kind", ["link", "file"])
def test_of_what_took_the_directorys_place_only_that_is_removed(tmp_path: Path, kind: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    place = tmp_path / "tree"
    if kind == "link":
        place.symlink_to(tmp_path / "outside")
    else:
        place.write_text("a file")
    remove_tree(str(place))
    assert os.listdir(tmp_path) == ["outside"]
    assert (tmp_path / "outside" / "file").read_text() == "mine"


AS_NOBODY = """
import os, sys
from ctxmgr.service.tasks.removal import remove_tree
if not os.getuid():
    os.setuid(65534)
tree = "tree"  # relative, since the directories above are closed to it
os.makedirs(os.path.join(tree, "a", "b", "c"))
for name in ("a/b/c/file", "a/file"):
    open(os.path.join(tree, name), "w").close()
for name, mode in (("a/b/c", 0), ("a/b", 0o500), ("a", 0o400), ("", 0o100)):
    os.chmod(os.path.join(tree, name), mode)
remove_tree(tree)
print(os.listdir("."))
"""


def test_directories_that_may_be_neither_read_nor_changed_are_removed(tmp_path: Path) -> None:
    """As who has to ask: root may do everything anyway."""
    tmp_path.chmod(0o777)
    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
