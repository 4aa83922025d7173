"""Where one sync takes place, and what of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ctxmgr.engine.policy.ignore import Ignores, Unignored
from ctxmgr.engine.policy.mounts import part_of, workspace_directory
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.policy.whitelist import Part, Selection
from ctxmgr.engine.workspace.nodefolder import NodeFolder
from ctxmgr.engine.workspace.state import PackedState

from .options import SyncOptions

__all__ = ["Place", "place_of"]


@dataclass(frozen=True)
class Place:
    """Where one sync takes place.

    Attributes:
        context_id, mount, policy: the binding's.
        directory: the workspace's real path.
        state: the file of what the workspace had at its last sync.
        part: what alone is synced, relative to the mount path; empty for all of it.
        white_listed: what the policy's white lists select.
        options: the choices of this sync, the policy's among them.
        ignores: what is left out; a scan adds the ignore files that it meets.
    """

    context_id: str
    mount: str
    policy: BindingPolicy
    directory: str
    state: Path
    part: bytes
    white_listed: Selection | None
    options: SyncOptions
    ignores: Ignores = field(default_factory=Ignores)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where in the context that lies which is synced."""
        return self.policy.origins or (self.mount,)

    @property
    def is_plain(self) -> bool:
        """Whether all of the workspace is synced with all that lies at one path, and each file as it is."""
        policy = self.policy
        unchanged = policy.extract is None and not policy.archive and len(self.paths) == 1
        return unchanged and self.selection is None

    def packs_of(self, known: PackedState) -> frozenset[str] | None:
        """Return the packs in which all content lies, where the context holds exactly what a state says; else None."""
        return known.packs if known.key and self.is_plain else None

    @property
    def listed(self) -> Selection | None:
        """What the white lists select, as far as it lies in the part."""
        return Part(self.part, self.white_listed) if self.part else self.white_listed

    @property
    def unignored(self) -> Selection | None:
        """What they select in the part and outside it, without what is ignored."""
        return Unignored(self.ignores, self.white_listed) if self.ignores else self.white_listed

    @property
    def selection(self) -> Selection | None:
        """What is synced, once the workspace was scanned."""
        return Part(self.part, self.unignored) if self.part else self.unignored


def place_of(
    folder: NodeFolder,
    context_id: str,
    mount: str,
    path: str,
    policy: BindingPolicy,
    root: str,
    options: SyncOptions,
    *,
    make: bool = False,
) -> Place:
    """Return where a sync of a binding, or of a path below its mount path, takes place.

    Args:
        folder: what the node knows of its workspaces.
        root: the real path of the session's root.
        make: make the directory if need be.

    Raises:
        ServiceError: the directory can't be used.
    """
    directory = workspace_directory(root, mount, make=make)
    state = folder.workspace_state(directory, context_id, mount, policy.variant())
    part = os.fsencode(part_of(mount, path))
    white_listed = Selection.of(policy.white_lists, mount)
    options = options.under(policy)
    ignores = Ignores(options.exclude)
    return Place(context_id, mount, policy, directory, state, part, white_listed, options, ignores)
