"""Trees far deeper than a path can be long, made level by level."""

from __future__ import annotations

import os
from pathlib import Path


def deepen(folder: Path, levels: int, name: str = "d") -> None:
    """Make directories one in the other, with a file in the last."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    with open("file", "w", opener=lambda path, flags: os.open(path, flags, dir_fd=descriptor)) as file:
        file.write("at the bottom")
    os.close(descriptor)


def depth(folder: Path, name: str = "d") -> int:
    """How many levels of that name there are; there must be a file in the last."""
    descriptor = os.open(folder, os.O_RDONLY)
    levels = 0
    while name in os.listdir(descriptor):
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor, levels = below, levels + 1
    assert os.listdir(descriptor) == ["file"]
    os.close(descriptor)
    return levels
