"""What one sync is asked to do otherwise than its binding's policy says."""

from __future__ import annotations

from typing import Final

import msgspec

from ctxmgr.engine.manifest.merge import Choice
from ctxmgr.engine.policy.policy import BindingPolicy

__all__ = ["NO_OPTIONS", "SyncOptions", "options_of"]


class SyncOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """The choices of one sync.

    Attributes:
        exclude: patterns of what is left out, beside the policy's.
        conflict: who wins where both sides changed; empty for what the policy says.
        guard: refuse to delete most of what a side has.
        limit: bytes a second between the workspace and the store; 0 for no limit.
    """

    exclude: tuple[str, ...] = ()
    conflict: Choice = ""
    guard: bool = False
    limit: int = 0

    def under(self, policy: BindingPolicy) -> SyncOptions:
        """Return the choices of a sync of a binding with that policy."""
        return msgspec.structs.replace(
            self, exclude=(*policy.exclude, *self.exclude), conflict=self.conflict or policy.conflict
        )

    def text(self) -> str:
        """Return the choices as a task's row holds them; empty where none was made."""
        return "" if self == NO_OPTIONS else msgspec.json.encode(self).decode()


NO_OPTIONS: Final = SyncOptions()


def options_of(text: str) -> SyncOptions:
    """Read what ``SyncOptions.text`` returned."""
    return msgspec.json.decode(text, type=SyncOptions) if text else NO_OPTIONS
