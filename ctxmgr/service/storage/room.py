"""Room on the disk that content leaves free: without any, the catalog could not even note that a sync has failed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["check_room"]

_RESERVE: Final = 64 << 20
_LARGEST_PART: Final = 16


def check_room(folder: Path, size: int) -> None:
    """Check that a disk has room for content, beside what is kept free: 64 MiB, of a small disk one part in 16.

    Raises:
        OSError: ``ENOSPC``.
    """
    disk = shutil.disk_usage(folder)
    if disk.free < size + min(_RESERVE, disk.total // _LARGEST_PART):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
