"""Restores of what a context held into a directory of the caller's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ._io import on_thread
from ._localrestore import Target, entries_of
from .answers import result_of
from .core import ClientCore
from .errors import ApiError
from .results import RestoreResult, SyncProgress
from .structuring import EntryData, structure_list

if TYPE_CHECKING:
    from .engine.manifest.entries import Entry

__all__ = ["Restores"]

_PAGE = 2000


class Restores:
    """Writes directories, and proves what it wrote."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def restore(
        self,
        context_id: str,
        directory: str,
        paths: Sequence[str],
        revision: str,
        *,
        force: bool,
        progress: Callable[[SyncProgress], object] | None,
    ) -> RestoreResult:
        """Restore a context, or paths of it; otherwise as ``Contexts.restore``.

        Args:
            revision: as the service takes it; empty for the latest.
        """
        parameters = {"ContextId": context_id, "MaxResults": str(_PAGE)}
        if revision:
            parameters["Revision"] = revision
        if paths:
            parameters["Paths"] = json.dumps([path if path.startswith("/") else f"/{path}" for path in paths])
        entries: dict[bytes, Entry] = {}
        number = 0
        more = True
        while more:
            answer = self._core.transport.call("DescribeRevision", parameters)
            if not answer.success:
                return result_of(answer, RestoreResult)
            entries |= entries_of(structure_list(answer.data, EntryData))
            number = int(answer.document.get("Revision") or 0)
            parameters["NextToken"] = str(answer.document.get("NextToken") or "")
            more = bool(parameters["NextToken"])
        try:
            target = on_thread(lambda: Target(directory, entries, number, force=force, progress=progress))
            refusal = self._core.transport.fill(context_id, target)
            if refusal is not None:
                return result_of(refusal, RestoreResult)
            return on_thread(target.result)
        except ApiError as error:
            return RestoreResult(error_message=str(error))
