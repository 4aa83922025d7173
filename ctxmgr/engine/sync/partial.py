"""What is peculiar to a sync of a part of a binding: whether there is such a part, and what is told of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from ctxmgr.engine.manifest.entries import absolute, show
from ctxmgr.engine.manifest.merge import Mode
from ctxmgr.engine.policy.whitelist import Part
from ctxmgr.errors import ServiceError

from .plan import Reconciled
from .port import ContextStore
from .projection import View

__all__ = ["check_known", "told_of"]

_UNPACKED_OUTSIDE = "is unpacked by this binding, to what is not synced now: sync the folder that the archive lies in"


def check_known(store: ContextStore, context_id: str, origins: Sequence[str], path: bytes) -> None:
    """Check that a part of which nothing is left was there once: who names a path means something by it.

    Args:
        origins: the paths in the context that appear at the mount path.
        path: the part, relative to the mount path.

    Raises:
        ServiceError: the context never had anything there.
    """
    if not store.ever_held(context_id, [absolute(os.fsencode(at), path) for at in origins]):
        raise ServiceError(
            "InvalidFile.NotFound",
            f"there is nothing to sync at {show(path)}: neither the session's directory nor the context has, or the "
            "context ever had, anything there that this binding syncs; check the path",
        )


def told_of(part: Part, planned: Reconciled, view: View, *, mode: Mode) -> Reconciled:
    """Return a plan for a part with what can't be synced of that part alone, its archives among it."""
    skipped = [each for each in planned.skipped if part.may_hold(each[0])]
    if mode == "download":
        outside = {archive for path, archive in view.unpacked.items() if not part.includes(path)}
        skipped += [(archive, _UNPACKED_OUTSIDE) for archive in sorted(outside) if part.includes(archive)]
    return replace(planned, skipped=skipped)
