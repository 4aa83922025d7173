"""The ``ContextStore`` of a node: contexts that a service elsewhere keeps, over HTTP."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Annotated, Final, TypeVar

import msgspec

from ctxmgr import nodewire
from ctxmgr.engine.manifest.entries import Entry, add_implied
from ctxmgr.engine.policy.policy import BindingPolicy, read_policy
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.engine.sync.projection import Origins
from ctxmgr.engine.sync.task import Outcome, Progress, Task
from ctxmgr.errors import ServiceError
from ctxmgr.nodewire.objects import blocks_of, outcome_message

from .commitsize import fitted
from .content import HttpContentStore, digests_in
from .direct import Direct
from .door import Door
from .manifests import Known, Manifests
from .staging import Staging

__all__ = ["HttpContextStore"]

_ROUNDS: Final = 5
_REVISION_GONE: Final = "InvalidRevision.NotFound"
_NO_SUCH_CALL: Final = "InvalidPath.NotFound"
_ENTRIES: Final = Annotated[list[tuple[bytes, Entry | None]], msgspec.Meta(max_length=nodewire.ACCEPTED_PATHS)]

_Message = TypeVar("_Message", bound=nodewire.Message)


class HttpContextStore:
    """See ``ContextStore``. Used by several threads at once.

    Args:
        door: the way to the service.
        welcome: what holds at the service.
        manifests: what is remembered of contexts.
    """

    def __init__(self, door: Door, welcome: nodewire.Welcome, manifests: Manifests) -> None:
        self._door = door
        self._staging = Staging(door, welcome.piece_bytes)
        self._manifests = manifests
        direct = Direct(door, offered=welcome.direct)
        self.content = HttpContentStore(door, self._staging, direct, welcome.read_bytes)

    def start(self, task: Task) -> None:
        self._door.call(nodewire.Start(task.node_id, task.id), nodewire.Done)

    def report(self, task: Task, progress: Progress) -> None:
        told = nodewire.Report(task.node_id, task.id, **asdict(progress))
        # Others see the progress a little later then; the task itself is none the worse.
        self._door.tell(told)

    def policy(self, task: Task) -> BindingPolicy:
        text = self._door.call(nodewire.PolicyOf(task.node_id, task.id), nodewire.PolicyText).policy
        return read_policy(text, task.mount)[0]

    def origins(self, context_id: str, paths: Sequence[str]) -> Origins:
        known = self._manifests.load(context_id, paths)
        for attempt in range(1, _ROUNDS + 1):
            try:
                fresh, in_the_way = self._followed(context_id, paths, known)
            except _Torn:
                known = Known.nothing(paths)
            except ServiceError as error:
                # The revision that the pages were of was pruned while they were read.
                if error.code != _REVISION_GONE or attempt == _ROUNDS:
                    raise
            else:
                break
        else:
            raise _unfit(f"the pages of what the context {context_id} holds never fitted together")
        if (fresh.head, fresh.key) != (known.head, known.key):
            self._manifests.save(context_id, paths, fresh)
        for rows in fresh.rows:
            add_implied(rows)
        return Origins(fresh.head, tuple(paths), tuple(fresh.rows), in_the_way)

    def uploaded_since(self, context_id: str, path: str, *, workspace: str, revision: int) -> dict[bytes, Entry | None]:
        found: dict[bytes, Entry | None] = {}
        asked = nodewire.Uploaded(context_id, path, workspace, revision)
        while True:
            page = self._door.call(asked, nodewire.EntriesPage)
            found.update(_entries(page.entries))
            if page.end:
                return found
            if not asked.after < page.next_after:
                raise _unfit("the pages of what a workspace uploaded do not go on")
            asked = msgspec.structs.replace(asked, after=page.next_after)

    def key(self, context_id: str, revision: int) -> str | None:
        answer = self._asked(nodewire.KeyOf(context_id, revision), nodewire.Key)
        return None if answer is None else answer.key

    def is_unchanged(
        self, context_id: str, paths: Sequence[str], *, revision: int, key: str, packs: Collection[str]
    ) -> bool:
        if len(packs) > nodewire.MAX_PACKS:
            return False
        asked = nodewire.Unchanged(context_id, list(paths), revision, key, sorted(packs))
        answer = self._asked(asked, nodewire.Truth)
        return answer is not None and answer.value

    def ever_held(self, context_id: str, paths: Sequence[bytes]) -> bool:
        return self._door.call(nodewire.Held(context_id, list(paths)), nodewire.Truth).value

    def lost(self, context_id: str, paths: Sequence[str]) -> set[bytes]:
        return digests_in(self._door.call(nodewire.Lost(context_id, list(paths)), nodewire.Digests))

    def commit(self, task: Task, changes: Sequence[RowChange], *, head: int, outcome: Outcome | None = None) -> None:
        packed = b"".join(nodewire.pack_blocks(blocks_of(changes))) if changes else b""
        conflicts = (task.conflicts if outcome is None else outcome.conflicts).values()
        told = None if outcome is None else outcome_message(outcome)
        message = fitted(nodewire.Commit(task.node_id, task.id, head, outcome=told, **conflicts))

        def send(data: bytes, staged: str) -> None:
            self._door.call(msgspec.structs.replace(message, changes=data, staged=staged), nodewire.Done)

        self._staging.deliver(packed, send, room=len(nodewire.encode(message)))

    def _asked(self, message: nodewire.Message, kind: type[_Message]) -> _Message | None:
        """Call what a service of an older version does not know; return None if this one is."""
        try:
            return self._door.call(message, kind)
        except ServiceError as error:
            if error.code == _NO_SUCH_CALL:
                return None
            raise

    def _followed(self, context_id: str, paths: Sequence[str], known: Known) -> tuple[Known, tuple[bytes, ...]]:
        """Return what a context holds now below paths, from what was known and what has changed since."""
        asked = nodewire.Changes(context_id, list(paths), known.head, known.key)
        first: nodewire.ChangesPage | None = None
        rows: list[dict[bytes, Entry]] = []
        while True:
            page = self._door.call(asked, nodewire.ChangesPage)
            if first is None:
                first = page
                rows = [{} for _ in paths] if page.full else [dict(each) for each in known.rows]
            elif (page.head, page.key) != (first.head, first.key):
                raise _Torn
            _apply(page, rows)
            if page.end:
                return Known(page.head, page.key, rows), tuple(page.in_the_way)
            if not (asked.origin, asked.after) < (page.next_origin, page.next_after):
                raise _unfit("the pages of what a context holds do not go on")
            asked = msgspec.structs.replace(asked, at=page.head, origin=page.next_origin, after=page.next_after)


class _Torn(Exception):
    """Pages were of two revisions of one number, as before and after a restore of the service."""


def _apply(page: nodewire.ChangesPage, rows: list[dict[bytes, Entry]]) -> None:
    if not 0 <= page.origin < len(rows):
        raise _unfit(f"entries came of the path numbered {page.origin}, and {len(rows)} were asked for")
    below = rows[page.origin]
    for path, entry in _entries(page.entries):
        if entry is None:
            below.pop(path, None)
        else:
            below[path] = entry


def _entries(packed: bytes) -> list[tuple[bytes, Entry | None]]:
    try:
        found: list[tuple[bytes, Entry | None]] = nodewire.unpack(packed, _ENTRIES)
    except nodewire.Garbled as error:
        raise _unfit(str(error)) from error
    return found


def _unfit(problem: str) -> ServiceError:
    return ServiceError("InternalError.Answer", f"what the service answered can't be used: {problem}")
