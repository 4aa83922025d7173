"""The command ``ctxmgr``: its entry point, which imports nothing that may be missing before it has looked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["main"]

_NEEDED = ("click", "platformdirs", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what follows the command's name; ``None`` takes the process's own.

    Returns:
        The exit status: 0 on proven success, 1 on failure, 2 on wrong usage, 128 and the signal's number if a signal
        ended it.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"ctxmgr: the command needs {' and '.join(missing)}: pip install 'ctxmgr[cli]'\n")
        return 1
    from .app import run_command

    return run_command(arguments)
