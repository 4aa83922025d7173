"""The runtime: one open data folder, the tasks that run on it here, and the end of those that nobody runs any more."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from sqlalchemy import Connection

from ctxmgr.engine.policy.mounts import joined
from ctxmgr.engine.sync.progress import Monitor
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.sync.task import Progress, Task, TaskInterrupted
from ctxmgr.errors import DataFolderError, ServiceError
from ctxmgr.reasons import reason
from ctxmgr.service.care.care import Care
from ctxmgr.service.catalog import history, tasks
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.folders import Folders
from ctxmgr.workers import Workers

from . import resuming
from .contextstore import CatalogContextStore
from .leases import LEASE_SECONDS, Leases
from .nodes import Node
from .peers import Peers
from .places import Places
from .processes import ServiceProcess
from .questions import Questions
from .resuming import Queued
from .taskqueue import Queue
from .upkeep import Upkeep
from .watch import Listeners

__all__ = ["Runtime"]

logger = logging.getLogger(__name__)

GRACE = 2.0
STOP_TIMEOUT = 3.0
SECONDS_BETWEEN_CHECKS = 0.5
CLOSED = "interrupted: the service was closed before it was done"
LEFT = "left"
"""What processes listen to, to know that there are tasks which only those of one data folder can run."""
LOST = "interrupted: it was queued, and never begun"


class Runtime:
    """See the module. The public attributes are what actions work with.

    Attributes:
        roots: by account, the real paths of the directories in and below which sessions may have their roots; None
            where the caller is trusted with any.
        resumes: at its end it leaves unfinished tasks to the next service, and at its beginning takes over those that
            were left. A runtime that does not, takes them over when someone asks for the state of tasks: so none
            waits for ever, and a command that has to do with something else runs no syncs.
        observers: called, by a worker, with the id of every task that ended here; must not raise.
    """

    def __init__(
        self, places: Places, node: Node | ServiceProcess, workers: int, *, lease: float, resumes: bool = False
    ) -> None:
        self.folder = places.folder
        self.catalog = places.catalog
        self.home = places.home
        self.node = node
        self._places = places
        self._packs = places.packs
        self._stores: dict[str, CatalogContextStore] = {}
        self.listeners = Listeners()
        if resumes:
            self.listeners.add(LEFT, self._look_for_left)
        self._peers = Peers(places.catalog, self.listeners)
        self.questions = Questions(places.catalog, self.listeners)
        self.leases = Leases(places.catalog, self.listeners, self.questions, seconds=lease)
        self.care = Care(places.catalog, self._packs, places.folder.locks, self._is_alone)
        self.staging = places.staging
        self.direct = places.direct
        self.signer = places.signer
        self.closed = False
        self.resumes = resumes
        self.roots: Mapping[str, Sequence[str]] | None = None
        self.observers: list[Callable[[str], None]] = []
        self.upkeep = Upkeep(places, self.care, serves=resumes)
        self.folders = Folders()
        self._workers = Workers(workers, "ctxmgr-sync")
        self._live: dict[str, Monitor] = {}
        self._unrecorded: dict[str, str] = {}
        self._taken: set[str] = set()
        self._told: set[str] = set()
        self._queueing = threading.Lock()
        self._closing = threading.Lock()
        self._process = os.getpid()
        self._checked = 0.0
        self._at_exit = partial(_close_at_exit, weakref.ref(self))
        atexit.register(self._at_exit)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        workers: int,
        resumes: bool = False,
        lease: float = LEASE_SECONDS,
        catalog: str = "",
        store: str = "",
        store_endpoint: str = "",
    ) -> Runtime:
        """Open a data folder, with its catalog and store elsewhere where URLs of them are given.

        Raises:
            DataFolderError: as Places.open; or there are no workers to run anything.
        """
        if workers < 1:
            raise DataFolderError(f"workers is {workers}, and at least 1 is needed to run a sync")
        places = Places.open(path, catalog=catalog, store=store, store_endpoint=store_endpoint, serves=resumes)
        with ExitStack() as undo:
            undo.callback(places.close)
            try:
                node: Node | ServiceProcess
                if places.catalog.shared:
                    node = ServiceProcess(places.catalog, places.home, seconds=lease)
                else:
                    node = Node(places.catalog, places.folder.nodes)
                runtime = cls(places, node, workers, lease=lease, resumes=resumes)
                undo.callback(runtime.close)
                runtime.node.end_dead_ones(wait=True)
                if resumes:
                    with runtime._queueing:
                        runtime._take_over()
                    runtime.leases.begin()
                runtime._peers.begin()
                if isinstance(node, ServiceProcess):
                    node.begin(partial(runtime.end_lost_tasks, now=True))
            except CatalogError as error:
                raise DataFolderError(error.message) from error
            except OSError as error:
                problem = f"can't open the data folder {str(places.folder.source)!r}: {reason(error)}"
                raise DataFolderError(problem) from error
            undo.pop_all()
        runtime.clean_up()
        return runtime

    @contextmanager
    def queueing(self) -> Iterator[Queue]:
        """Write to the catalog and queue tasks in the same transaction; afterwards they are begun."""
        # The lock spans commit and submission: whoever holds it sees every task of this node either live or lost.
        with self._queueing:
            self.check_open()
            with self.catalog.write() as connection:
                queue = Queue(connection, self.node.id, self.home, [])
                yield queue
            for queued in queue.added:
                if queued.task.node_id == self.node.id:
                    self._begin(queued)
                elif queued.task.node_id:
                    self.listeners.notify(queued.task.node_id)
                else:
                    self.listeners.tell(LEFT)

    def check_open(self) -> None:
        """Check that the runtime can be used.

        Raises:
            ServiceError: the runtime is closed, or another process opened it.
        """
        if self._process != os.getpid():
            problem = "this process was forked after the service was opened: open it again here"
            raise ServiceError("ServiceUnavailable.Forked", problem)
        if self.closed:
            raise ServiceError("ServiceUnavailable.Closed", "the service was closed: open it again")

    def store(self, account: str) -> CatalogContextStore:
        """Return what keeps the contexts of an account, and their content."""
        if account not in self._stores:
            self._stores[account] = CatalogContextStore(self.catalog, self._packs, account, self._tell_ended)
        return self._stores[account]

    def syncs(self, account: str) -> Syncs:
        """Return what syncs the contexts of an account."""
        return Syncs(self.store(account), self.folder, account)

    def end_lost_tasks(self, *, now: bool = False) -> bool:
        """Fail the tasks that nobody runs any more: of processes that died, and of this one. Run those that were left.

        Args:
            now: look even though the last look was a moment ago.

        Returns:
            whether it looked.
        """
        if not now and time.monotonic() - self._checked < SECONDS_BETWEEN_CHECKS:
            return False
        self._checked = time.monotonic()
        for task_id, error in list(self._unrecorded.items()):
            self._end(task_id, error)
        self.node.end_dead_ones()
        if self._queueing.acquire(blocking=False):
            try:
                with self.catalog.read() as connection:
                    unfinished = tasks.unfinished_of(connection, self.node.id)
                lost = [
                    task_id for task_id in unfinished if task_id not in self._live and task_id not in self._unrecorded
                ]
                for task_id in lost:
                    self._end(task_id, LOST)
                self._take_over()
            finally:
                self._queueing.release()
        return True

    def _look_for_left(self) -> None:
        if not self.closed:
            with suppress(CatalogError):
                self.end_lost_tasks(now=True)

    def notices(self, node_id: str) -> bool:
        """Whether who waits in this process is notified of the end of a node's tasks."""
        return self.catalog.shared or node_id == self.node.id or node_id in self.leases

    def _is_alone(self) -> bool:
        """Whether nobody, here or elsewhere, can be storing content that no revision refers to yet."""
        return not self._live and not len(self.leases) and not self.node.others()

    def progress(self, task_id: str) -> Progress | None:
        """Return the progress of a task that is queued or running in this process; None for any other."""
        monitor = self._live.get(task_id)
        return None if monitor is None else monitor.progress

    def unrecorded_failure(self, task_id: str) -> str:
        """Return why a task has failed when the catalog could not be told so; "" for any other."""
        return self._unrecorded.get(task_id, "")

    def clean_up(self) -> None:
        """Have what ended sessions leave behind removed, by one worker at a time."""
        self._workers.submit("clean up", self._clean_up)

    def close(self, grace: float = GRACE) -> None:
        """End the runtime: running tasks get a moment.

        Those that are not done then, and the queued ones, are left to the next service if the runtime resumes or had
        taken them over itself; the others fail as interrupted.

        Args:
            grace: seconds that running tasks get.
        """
        with self._closing:
            if self.closed or self._process != os.getpid():
                return
            with self._queueing:
                self.closed = True
            atexit.unregister(self._at_exit)
            self._workers.close()
            self.upkeep.stop()
            self.leases.stop()
            if not self._workers.wait(grace):
                for monitor in list(self._live.values()):
                    monitor.stop()
                self._workers.wait(STOP_TIMEOUT)
            try:
                self.catalog.insist(partial(self.node.leave, self._settle))
            except Exception as error:
                # The lock is gone with the process at the latest: the next to look finds the node dead.
                logger.warning("can't note in the catalog that the service was closed: %s", reason(error))
            self._live.clear()
            self.listeners.notify_all()
            self._peers.close()
            self._places.close()

    def _settle(self, connection: Connection) -> None:
        for task_id, error in list(self._unrecorded.items()):
            tasks.fail(connection, task_id, self.node.id, error)
        resuming.leave(connection, self.node.id, None if self.resumes else self._taken)
        tasks.fail_all_of(connection, self.node.id, CLOSED)

    def _take_over(self) -> None:
        """Run the tasks that a service left at its end. The caller holds the lock of queueing."""
        if self.closed:
            return
        with self.catalog.read() as connection:
            if not resuming.are_left(connection, self.home):
                return
        with self.catalog.write() as connection:
            taken = resuming.take_over(connection, self.node.id, self.home)
        self._taken.update(queued.task.id for queued in taken)
        for queued in taken:
            self._begin(queued)

    def _begin(self, queued: Queued) -> None:
        task = queued.task
        self._live[task.id] = Monitor(partial(self.store(queued.account).report, task))
        try:
            self._workers.submit(joined(queued.root, task.mount), partial(self._run, queued))
        except BaseException:
            # No thread could be made, or someone pressed Ctrl-C: the task is lost, and found to be by the next look.
            del self._live[task.id]
            raise

    def _run(self, queued: Queued) -> None:
        task = queued.task
        try:
            if task.mode in (tasks.CLEAR, tasks.RESTORE):
                self._change(queued.account, task)
            else:
                self.syncs(queued.account).run(task, queued.root, self._live[task.id])
        except TaskInterrupted:
            if self.closed:
                # It has not ended: close decides what becomes of it.
                return
            self._end(task.id, CLOSED)
        except Exception as error:
            if not isinstance(error, (ServiceError, OSError)):
                logger.info("task %s failed", task.id, exc_info=True)
            self._end(task.id, reason(error))
        finally:
            self._live.pop(task.id, None)
            if task.id in self._told:
                self._told.discard(task.id)
                self.listeners.notify_here(task.session_id)
            else:
                self.listeners.notify(task.session_id)
        self._note_ended(task.id)

    def _tell_ended(self, task: Task) -> None:
        """Have who waits elsewhere know it at once; who waits here knows it when the sync is through."""
        self._told.add(task.id)
        self.listeners.tell(task.session_id)

    def ended(self, task_id: str, session_id: str) -> None:
        """Notify whoever waits for a task that a node has ended."""
        self.listeners.notify(session_id)
        self._note_ended(task_id)

    def _note_ended(self, task_id: str) -> None:
        """Tell the observers of a task that has ended, and clean up after it."""
        for observe in list(self.observers):
            observe(task_id)
        self.clean_up()

    def _change(self, account: str, task: Task) -> None:
        def go_back() -> None:
            with self.catalog.write() as connection:
                tasks.succeed(connection, task, history.go_back(connection, task))

        self.store(account).start(task)
        self.catalog.insist(go_back)

    def _end(self, task_id: str, error: str) -> None:
        try:
            with self.catalog.write() as connection:
                tasks.fail(connection, task_id, self.node.id, error)
            self._unrecorded.pop(task_id, None)
        except Exception as problem:
            if not self.closed:
                logger.warning("can't note in the catalog that task %s failed: %s", task_id, reason(problem))
                self._unrecorded[task_id] = error

    def _clean_up(self) -> None:
        if self.folder.unwritable:
            return
        try:
            self.upkeep.run()
        except Exception as error:
            if not self.closed:
                logger.warning("can't remove what ended sessions left behind: %s", reason(error))


def _close_at_exit(reference: Callable[[], Runtime | None]) -> None:
    runtime = reference()
    if runtime is not None:
        runtime.close()
