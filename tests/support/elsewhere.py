"""Another machine, as far as this one can make one: what runs there has no sight of a directory here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Elsewhere", "elsewhere", "small_disk"]

_ROOTLESS = ["unshare", "--map-root-user"]
_HIDE = 'mount -t tmpfs none "$0" && exec "$@"'
_MOUNT_SMALL = 'mount -t tmpfs -o size="$0" none "$1" && shift && exec "$@"'
_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Elsewhere(NamedTuple):
    """A place to run commands in.

    Attributes:
        by: what stands before the command.
        host: the address at which a server there is reached from here, and listens.
        folder: a directory that is there too, for what is kept there.
    """

    by: Sequence[str]
    host: str
    folder: Path


@contextmanager
def elsewhere(hidden: Path, folder: Path) -> Iterator[Elsewhere]:
    """Make a place from which a directory can't be opened: a network and mounts of its own, or another user.

    A machine that can make neither has the test skipped, with the reason.

    Args:
        folder: for what is kept there; where it is another user's, another one is used.
    """
    name = f"ctxmgr-{os.getpid()}"
    problem = _failure(["ip", "netns", "add", name])
    if not problem:
        try:
            yield Elsewhere(
                ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c", _HIDE, str(hidden)],
                _connected(name),
                folder,
            )
        finally:
            subprocess.run(["ip", "netns", "delete", name], check=True)
        return
    problem = f"no network of its own ({problem}); "
    problem += _failure([*_NOBODY, sys.executable, "-c", "import ctxmgr"], PYTHONPATH=os.pathsep.join(sys.path))
    if not problem.endswith("; "):
        pytest.skip(f"this machine can make no place from which a directory can't be opened: {problem}")
    hidden.chmod(0o700)
    with tempfile.TemporaryDirectory() as made:
        os.chown(made, 65534, 65534)
        yield Elsewhere(_NOBODY, "127.0.0.1", Path(made))


def small_disk(folder: Path, size: str) -> list[str]:
    """Return what has a command see a small empty disk in the place of a directory, until it ends.

    A machine that can't have it has the test skipped, with the reason.

    Args:
        size: as the option of tmpfs.
    """
    mounting = ["unshare", "--mount", "sh", "-c", _MOUNT_SMALL, size, str(folder)]
    if not (problem := _failure([*mounting, "true"])):
        return mounting
    if _failure([*_ROOTLESS, *mounting[1:], "true"]):
        pytest.skip(f"this machine can make no small disk: {problem}")
    return [*_ROOTLESS, *mounting[1:]]


def _connected(name: str) -> str:
    """Connect a network to this one, and return the address that a server there has."""
    number = os.getpid() % (1 << 14)
    here, there = (f"198.18.{number >> 6}.{4 * (number & 63) + end}" for end in (1, 2))
    near, far = f"cm{number}a", f"cm{number}b"
    for command in (
        ["link", "add", near, "type", "veth", "peer", "name", far, "netns", name],
        ["address", "add", f"{here}/30", "dev", near],
        ["link", "set", near, "up"],
        ["-netns", name, "address", "add", f"{there}/30", "dev", far],
        ["-netns", name, "link", "set", far, "up"],
        ["-netns", name, "link", "set", "lo", "up"],
    ):
        subprocess.run(["ip", *command], check=True)
    return there


def _failure(command: Sequence[str], **environment: str) -> str:
    """Run a command, and return why it failed; nothing if it did not."""
    with suppress(FileNotFoundError):
        run = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=30
        )
        return (run.stderr.strip() or f"exit status {run.returncode}") if run.returncode else ""
    return f"{command[0]} is not installed"
