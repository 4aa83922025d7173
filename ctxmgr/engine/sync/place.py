"""Where one sync takes place, and what of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ctxmgr.engine.policy.ignore import Ignores, Unignored
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.policy.whitelist import Part, Selection

from .options import SyncOptions

__all__ = ["Place"]


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
