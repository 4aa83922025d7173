"""The port between a sync and what keeps contexts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ctxmgr.engine.content.store import ContentStore
from ctxmgr.engine.manifest.entries import Entry
from ctxmgr.engine.policy.policy import BindingPolicy

from .changeset import RowChange
from .projection import Origins
from .task import Outcome, Progress, Task

__all__ = ["Bound", "ContextStore"]


class Bound(Protocol):
    """A binding, as far as a sync has to know it."""

    @property
    def context_id(self) -> str: ...

    @property
    def mount(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def policy(self) -> BindingPolicy: ...


class ContextStore(Protocol):
    """What keeps contexts, as a sync sees it: in this process or behind HTTP, which the engine can't tell.

    Every call is whole: what it changes is durable when it returns, and nothing has changed when it raises. Used by
    several threads at once. The tests in ``tests/unit/engine/sync/test_port.py`` hold for every implementation.

    Attributes:
        content: what the contexts' files hold.
    """

    @property
    def content(self) -> ContentStore: ...

    def start(self, task: Task) -> None:
        """Begin a task that is waiting.

        Raises:
            Interrupted: it has ended already, or is another node's.
        """

    def report(self, task: Task, progress: Progress) -> None:
        """Show others how far a running task is. That this can't be done now is no failure of the task.

        Raises:
            Interrupted: the task has ended, or is another node's.
        """

    def policy(self, task: Task) -> BindingPolicy:
        """Return the policy of the binding that a task syncs.

        Raises:
            ServiceError: ``InvalidContext.NotFound`` or ``InvalidBinding.NotFound``.
        """

    def origins(self, context_id: str, paths: Sequence[str]) -> Origins:
        """Return the head of a context, and what it holds at that revision below each of some paths.

        Raises:
            ServiceError: ``InvalidContext.NotFound``.
        """

    def uploaded_since(self, context_id: str, path: str, *, workspace: str, revision: int) -> dict[bytes, Entry | None]:
        """Return what a workspace has uploaded below a path after a revision.

        Args:
            context_id: the context.
            path: absolute in the context.
            workspace: as in the changes that were committed.
            revision: the last one that the workspace knows of.

        Returns:
            by path relative to the given one, the entry that was put last, or None where it was ended.
        """

    def key(self, context_id: str, revision: int) -> str | None:
        """Return what tells a revision from one of the same number that the context had, or may have, in another life.

        Returns:
            empty where the context has not come so far; None where it can't be told, as of one that was pruned.
        """

    def is_unchanged(
        self, context_id: str, paths: Sequence[str], *, revision: int, key: str, packs: Collection[str]
    ) -> bool:
        """Whether a revision is still the head of a context, and nothing is lost of what it holds below some paths.

        Args:
            context_id: the context.
            paths: absolute in the context.
            revision: the one that may be the head.
            key: that revision's.
            packs: those that all the content lies in: one look at each may be enough.

        Raises:
            ServiceError: ``InvalidContext.NotFound``.
        """

    def ever_held(self, context_id: str, paths: Sequence[bytes]) -> bool:
        """Whether a context holds, or held at any revision, something at or below one of some absolute paths."""

    def lost(self, context_id: str, paths: Sequence[str]) -> set[bytes]:
        """Return the chunks that a context's head refers to below some paths, and that have to be stored again.

        They are not stored any more, or can't be trusted where they lie, as `ContentStore.missing` says it.

        Raises:
            ContentError: the store can't be asked.
        """

    def commit(self, task: Task, changes: Sequence[RowChange], *, head: int, outcome: Outcome | None = None) -> None:
        """Make a revision of each change, numbered from ``head + 1`` on, and end the task, all of it or nothing.

        Args:
            task: a running one.
            changes: one after another; without any, the head is not compared.
            head: the context's head that the first change was planned on.
            outcome: what the task has done when it ends with this; None if it goes on, with ``task.conflicts``
                recorded beside the changes.

        Raises:
            HeadMoved: the context has another head by now: plan again on that.
            Interrupted: the task has ended already, or is another node's.
            ServiceError: ``InvalidContext.NotFound``, or ``InvalidChunk.NotFound`` where an entry refers to a chunk
                that is not stored.
        """
