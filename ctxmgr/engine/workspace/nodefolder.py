"""Where a node keeps what it knows of the workspaces that it syncs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

__all__ = ["NODE_FOLDER", "NodeFolder"]

NODE_FOLDER: Final = "node"
"""The name, in a data folder, of the folder of a node whose services are elsewhere."""


@dataclass(frozen=True)
class NodeFolder:
    """The places inside a node's folder.

    Attributes:
        root: the folder itself.
    """

    root: Path

    @property
    def archives(self) -> Path:
        return self.root / "archives"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def workspaces(self) -> Path:
        return self.root / "workspaces"

    def workspace_lock(self, directory: str) -> Path:
        """Return the lock file that guards one workspace directory, named by its real path."""
        return self.locks / f"workspace-{_name_of(directory)}.lock"

    def workspace_journal(self, directory: str) -> Path:
        """Return the file in which a download into one workspace directory notes what it is about to make."""
        return self.workspaces / f"{_name_of(directory)}.unfinished"

    def workspace_state(self, directory: str, context_id: str, mount: str, variant: str = "") -> Path:
        """Return the file that keeps what a workspace directory had at its last sync with a context.

        Args:
            directory: the workspace's real path.
            context_id: the context.
            mount: where it is bound.
            variant: what else decides which files belong together, as ``Policy.variant``.
        """
        suffix = f"-{_name_of(variant)[:20]}" if variant else ""
        return self.workspaces / f"{_name_of(directory, context_id, mount)}{suffix}.state"

    def workspace_states(self, directory: str, context_id: str, mount: str) -> list[Path]:
        """Return the files that ``workspace_state`` names, of all variants, and what is noted beside them."""
        return list(self.workspaces.glob(f"{_name_of(directory, context_id, mount)}*"))


def _name_of(*parts: str) -> str:
    digest = blake2b(digest_size=20)
    for part in parts:
        encoded = os.fsencode(part)
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
