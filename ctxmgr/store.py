"""What is stored as a whole: how much it is, whether it is whole, and which revisions are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

import attrs

from .answers import result_of
from .arguments import context_id_of
from .core import ClientCore
from .errors import ArgumentError, ArgumentTypeError
from .protocol import Answer
from .results import Context, OperationResult, PruneResult, Result, StoreCheckResult, StoreStatsResult
from .retention import Retention
from .structuring import structure

__all__ = ["Store"]

_Result = TypeVar("_Result", bound=Result)


class Store:
    """The store of an account; ``client.store`` is one (ctxmgr's own service only).

    >>> stats = client.store.stats()
    >>> print(stats.files, stats.bytes, stats.stored_bytes)
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def stats(self) -> StoreStatsResult:
        """Count what the account has stored: contexts, revisions, files, and the room that they take."""
        answer = self._core.transport.call("GetStoreStats", {})
        return _result(answer, StoreStatsResult)

    def check(self, *, read_data: bool = False, repair: bool = False) -> StoreCheckResult:
        """Check everything in the data folder; a service does that for nobody but its operator.

        Args:
            read_data: also read every byte, and compare it with the digest by which it is named.
            repair: take what can't be read out of the index: the next sync of any directory that still has the content
                stores it again.

        Returns:
            A success only if all is whole. Otherwise it says what is damaged, and which versions of which files that
            concerns.
        """
        parameters = {"ReadData": str(read_data).lower(), "Repair": str(repair).lower()}
        answer = self._core.transport.call("CheckStore", parameters)
        result = _result(answer, StoreCheckResult)
        if result.damages_total:
            result.success = False
            result.error_message = f"[Store.Damaged] {_sentence(result)}"
        return result

    def prune(
        self,
        contexts: Sequence[Context | str] = (),
        *,
        retention: Retention | None = None,
        dry_run: bool = False,
        grace: int | None = None,
    ) -> PruneResult:
        """End the revisions that are not kept, for good, and give back the room of what nothing refers to any more.

        The latest revision of a context is always kept. A server's accounts get their room back by its own schedule.

        Args:
            contexts: contexts or their ids; none for all of them.
            retention: which revisions are kept; ``None`` goes by what was set for each context, and keeps all of one
                for which nothing was.
            dry_run: only tell what would be done.
            grace: seconds that what nothing refers to stays, for the sake of syncs and downloads that rely on it;
                ``None`` for none where this process alone uses the data folder, and otherwise a day.
        """
        if retention is not None and retention.keeps_everything:
            raise ArgumentError("retention has no rule: give one, such as Retention(last=10)")
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int) or grace < 0):
            raise ArgumentTypeError(f"grace is {grace!r}; it must be a number of whole seconds")
        parameters = {"DryRun": str(dry_run).lower()}
        if contexts:
            parameters["ContextIds"] = json.dumps([context_id_of(context) for context in contexts])
        if retention is not None:
            parameters["Retention"] = json.dumps(retention.wire())
        if grace is not None:
            parameters["GraceSeconds"] = str(grace)
        answer = self._core.transport.call("PruneContexts", parameters)
        return _result(answer, PruneResult)

    def set_retention(self, context: Context | str, retention: Retention | None) -> OperationResult:
        """Have the service prune a context by itself, once a day.

        Args:
            context: the context or its id.
            retention: which revisions are kept; ``None`` for all of them.
        """
        rules = (retention or Retention()).wire()
        parameters = {"Id": context_id_of(context), "Retention": json.dumps(rules)}
        answer = self._core.transport.call("SetContextRetention", parameters)
        return result_of(answer, OperationResult)


def _result(answer: Answer, kind: type[_Result]) -> _Result:
    if not answer.success:
        return result_of(answer, kind)
    return attrs.evolve(structure(answer.data, kind), request_id=answer.request_id, success=True)


def _sentence(result: StoreCheckResult) -> str:
    what = f"{result.damages_total} damages were found"
    if result.damages:
        first = result.damages[0]
        what += f", the first in the {first.kind} {first.name}: {first.problem}"
    if result.affected_total:
        what += f"; {result.affected_total} versions of files can't be read"
    return what
