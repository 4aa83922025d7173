"""Commands that are killed at a point: at the n-th thing they do to files or to the catalog.

No clock is asked, so that the same moments are hit on any machine.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["counted", "kill_at", "points_of", "spread"]

_COUNTING = """
import itertools, os, signal, sys
from sqlalchemy import Engine, event

last, told = int(sys.argv.pop(1)), sys.argv.pop(1)
counter = itertools.count(1)
CHANGES = {"os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.utime", "os.chmod"}

def pass_point(*_):
    global passed
    passed = next(counter)
    if passed == last:
        os.kill(os.getpid(), signal.SIGKILL)

def audit(name, args):
    # Modules are read once, and not by every run.
    if name in CHANGES or (name == "open" and not str(args[0]).endswith((".py", ".pyc", ".so"))):
        pass_point()

from ctxmgr.cli import main
event.listen(Engine, "before_cursor_execute", pass_point)
event.listen(Engine, "commit", pass_point)
sys.addaudithook(audit)
status = main()
last = 0
with open(told, "w") as file:
    file.write(str(passed))
sys.exit(status)
"""


def points_of(arguments: Sequence[str], folder: Path, *, status: int = 0) -> int:
    """Run a command undisturbed, and return how many points it passed.

    Args:
        arguments: the command's.
        folder: where the number may be noted.
        status: that it is to end with.
    """
    told = folder / "points"
    assert _run(arguments, 0, told) == status, f"{' '.join(arguments)} failed"
    return int(told.read_text())


def kill_at(point: int, arguments: Sequence[str], folder: Path) -> None:
    """Have a command killed at a point."""
    status = _run(arguments, point, folder / "points")
    assert status == -signal.SIGKILL, f"{' '.join(arguments)} ended before its point {point}"


def spread(kills: int, points: int) -> list[int]:
    """Spread kills over the points that a whole run passes."""
    return [1 + points * number // kills for number in range(kills)]


def counted(arguments: Sequence[str], point: int, told: Path) -> list[str]:
    """Return the command that is killed at a point or, where that is 0, notes in a file how many it has passed."""
    return [sys.executable, "-c", _COUNTING, str(point), str(told), *arguments]


def _run(arguments: Sequence[str], point: int, told: Path) -> int:
    return subprocess.run(counted(arguments, point, told), stdout=subprocess.DEVNULL, check=False).returncode
