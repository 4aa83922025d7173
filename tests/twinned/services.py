"""The services that keep what tests sync, and how a session is given a directory with each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from ctxmgr import Client

__all__ = ["EMBEDDED", "HERE", "SERVICES", "THERE", "rooted", "works_in_roots_of_its_own"]

EMBEDDED: Final = "embedded"
THERE: Final = "served, the directory its own"
HERE: Final = "served, the directory here"
SERVICES: Final = [EMBEDDED, THERE, HERE]
"""What ``kept`` may be; a test says so by ``pytest.mark.parametrize("kept", SERVICES, indirect=True)``."""

_there: WeakSet[Client] = WeakSet()


def works_in_roots_of_its_own(client: Client) -> None:
    """Have the directories of a client's sessions be its server's."""
    _there.add(client)


def rooted(client: Client, directory: Path) -> dict[str, Any]:
    """Return the argument that gives a session of a client a directory."""
    return {"server_root" if client in _there else "root": directory}
