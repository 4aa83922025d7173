"""The context service as its doors see it: requests in, envelopes out, and nothing heavy imported before it opens."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ctxmgr.errors import ServiceError

from .api.envelope import failure, new_request_id, success
from .api.parameters import Parameters

if TYPE_CHECKING:
    from .api.nodes.registry import OpenedCall
    from .api.restore import RevisionReader
    from .api.transfer import Download, Upload
    from .catalog.keys import Keys
    from .tasks.health import LastUpload
    from .tasks.runtime import Runtime
    from .tasks.watch import Watch

__all__ = ["ContextService"]

logger = logging.getLogger(__name__)


class ContextService:
    """A service on one data folder. All its methods can be called from any thread.

    Any number of processes can open the same folder, or the same catalog and store elsewhere; each has a service of its
    own, and runs the syncs it is asked for.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        workers: int = 2,
        roots: Mapping[str, Sequence[str | os.PathLike[str]]] | None = None,
        resume: bool = False,
        lease: float | None = None,
        catalog: str = "",
        store: str = "",
        store_endpoint: str = "",
    ) -> ContextService:
        """Open a data folder, make it where there is none, and end what a crash left unfinished.

        Args:
            folder: the data folder; ``~`` is the home directory.
            workers: how many syncs run at the same time.
            roots: by account, the directories in and below which its sessions may have their roots; None trusts
                every account with any directory, as a program's own service does.
            resume: go on, as a server that is started again does, with the syncs that the last one left unfinished
                at its end, and leave unfinished ones to the next.
            lease: seconds after which a process that has the directory of a session, and was not heard of, is gone;
                None for 30.
            catalog: the URL of a PostgreSQL database that takes the place of the one in the folder, such as
                ``postgresql+psycopg://user:password@host/database``; any number of services share it.
            store: the URL of an object store that takes the place of the one in the folder, such as
                ``s3://bucket/prefix``; credentials, region and endpoint are what the usual AWS variables say.
            store_endpoint: scheme, host and port at which processes that have directories elsewhere reach that store,
                to send and fetch content by presigned URLs; "" to have all of it go through this service.

        Raises:
            DataFolderError: the folder holds something else, is of a newer version, or can't be used.
        """
        from .tasks.leases import LEASE_SECONDS
        from .tasks.runtime import Runtime

        lease = LEASE_SECONDS if lease is None else lease
        runtime = Runtime.open(
            folder,
            workers=workers,
            resumes=resume,
            lease=lease,
            catalog=catalog,
            store=store,
            store_endpoint=store_endpoint,
        )
        if roots is not None:
            runtime.roots = {account: [os.path.realpath(root) for root in given] for account, given in roots.items()}
        return cls(runtime)

    @property
    def keys(self) -> Keys:
        """The keys with which a door lets people in."""
        from .catalog.keys import Keys

        return Keys(self._runtime.catalog)

    def handle(
        self,
        action: str,
        parameters: Mapping[str, str],
        *,
        account: str = "local",
        base_url: str = "",
        watch: Watch | None = None,
    ) -> dict[str, Any]:
        """Answer a request at once.

        Args:
            action: the protocol's action, such as ``SyncContext``.
            parameters: its parameters, from query and body alike.
            account: whose request it is; no account sees another's contexts and sessions.
            base_url: scheme, host and port where the door serves files under ``/files/``; "" if it does not.
            watch: what the request has waited for.

        Returns:
            the whole envelope, also for what is wrong with the request or goes wrong in the service.
        """

        def answer() -> dict[str, Any]:
            from .api.registry import ACTIONS
            from .api.unsupported import refuse

            perform = ACTIONS.get(action) or refuse(action)
            asked = "" if watch is None else watch.asked
            return perform(self._runtime, account, Parameters(parameters, base_url=base_url, asked=asked))

        return self._enveloped(action, answer)

    def watch(self, action: str, parameters: Mapping[str, str], *, account: str = "local") -> Watch | None:
        """Return what a request asks to wait for before it is handled; None when it is to be handled now.

        A request that waits is GetContextInfo with ``WaitMs`` above 0, and PlanSync of a session whose directory is
        elsewhere. One that is wrong gives None, since its answer says so.
        """
        if action != "PlanSync" and (action != "GetContextInfo" or not parameters.get("WaitMs")):
            return None
        try:
            self._runtime.check_open()
            from .api.plans import watch_plan_sync
            from .api.sync import watch_context_info

            watching = watch_plan_sync if action == "PlanSync" else watch_context_info
            return watching(self._runtime, account, Parameters(parameters))
        except ServiceError:
            return None
        except Exception:
            logger.exception("can't watch the tasks that a request asks for; it is answered at once")
            return None

    def open_call(self, name: str, body: bytes, *, account: str = "local") -> OpenedCall:
        """Begin to answer a call of a node: see ``api.nodes.registry.open_call``.

        Raises:
            ServiceError: it is refused; ``envelope.failure`` makes an answer of that.
        """
        self._runtime.check_open()
        from .api.nodes.registry import open_call

        return open_call(self._runtime, name, body, account)

    def open_download(self, token: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Download:
        """Begin to answer a GET or a HEAD of a signed URL: see ``transfer.open_download``.

        Raises:
            ServiceError: it is refused; ``envelope.failure`` makes an answer of that.
        """
        from .api.transfer import open_download

        return open_download(self._runtime, token, method=method, headers=headers)

    def open_upload(self, token: str, *, headers: Mapping[str, str] | None = None) -> Upload:
        """Begin to take the body of a PUT to a signed URL: see ``transfer.open_upload``.

        Raises:
            ServiceError: it is refused; ``envelope.failure`` makes an answer of that.
        """
        from .api.transfer import open_upload

        return open_upload(self._runtime, token, headers=headers)

    def open_contents(self, token: str, body: bytes) -> Download:
        """Begin to answer a POST of paths to a signed URL: see ``restore.open_contents``.

        Raises:
            ServiceError: it is refused; ``envelope.failure`` makes an answer of that.
        """
        from .api.restore import open_contents

        return open_contents(self._runtime, token, body)

    def reader(self, context_id: str, revision: int, *, account: str = "local") -> RevisionReader:
        """Return what reads the files of a context at a revision: what takes the place of such URLs in this process.

        Raises:
            ServiceError: there is no such context.
        """
        from .api.restore import RevisionReader
        from .catalog import contexts

        self._runtime.check_open()
        with self._runtime.catalog.read() as connection:
            contexts.find(connection, account, context_id)
        return RevisionReader(self._runtime, account, context_id, revision)

    def read_file(self, context_id: str, path: str, *, revision: int = 0, account: str = "local") -> Download:
        """Begin to read a file of a context: what takes the place of a download URL in the same process.

        Args:
            context_id, path: of the file.
            revision: read it as it was then; 0 for as it is.
            account: as in ``handle``.

        Raises:
            ServiceError: it is refused.
        """
        from .api.transfer import read_file

        return read_file(self._runtime, account, context_id, _checked_path(path), revision=revision)

    def write_file(self, context_id: str, path: str, *, account: str = "local") -> Upload:
        """Begin to write a file of a context: what takes the place of an upload URL in the same process.

        Raises:
            ServiceError: it is refused.
        """
        from .api.transfer import write_file

        return write_file(self._runtime, account, context_id, _checked_path(path))

    def check(self) -> None:
        """Check that the service can answer.

        Raises:
            Exception: what keeps it from that.
        """
        from .tasks.health import check

        check(self._runtime)

    def unfinished(self) -> dict[str, int]:
        """Return how many tasks of this process are waiting and how many are running, by status."""
        from .tasks.health import unfinished

        return unfinished(self._runtime)

    def nodes(self) -> int:
        """Return how many processes that have directories of sessions talk to this one."""
        return len(self._runtime.leases)

    def outcome(self, task_id: str) -> dict[str, Any]:
        """Return all that is kept of a task; empty for an unknown one. For operators: it asks for no account."""
        from .tasks.health import outcome

        return outcome(self._runtime, task_id)

    def last_uploads(self, most: int) -> list[LastUpload]:
        """Return when each context was last uploaded to whose last upload is the longest ago.

        Those that were not uploaded to for 30 days are left out. For operators: it asks for no account.

        Args:
            most: how many there are at most.
        """
        from .tasks.health import last_uploads

        return last_uploads(self._runtime, most)

    def observe(self, observer: Callable[[str], None]) -> Callable[[], None]:
        """Call a function, from a worker thread, with the id of every task that ends here.

        Returns:
            what ends that.
        """
        self._runtime.observers.append(observer)
        return lambda: self._runtime.observers.remove(observer)

    def close(self, grace: float = 2.0) -> None:
        """End the service: running syncs get a moment. Again is allowed.

        What is not done then fails as interrupted, or is left to the next service where this one resumes.

        Args:
            grace: seconds that running syncs get.
        """
        self._runtime.close(grace)

    def _enveloped(self, action: str, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        request_id = new_request_id()
        try:
            self._runtime.check_open()
            return success(request_id, self._runtime.catalog.insist(answer))
        except ServiceError as error:
            from ctxmgr.service.catalog.errors import CatalogError

            from .api.unsupported import with_tool_result

            if isinstance(error, CatalogError):
                logger.error("request %s failed: %s: %s", request_id, action, error.message)

            return with_tool_result(action, failure(request_id, error))
        except Exception as error:
            logger.exception("request %s failed: %s", request_id, action)
            from ctxmgr.reasons import reason

            return failure(request_id, ServiceError("InternalError", f"{action} failed: {reason(error)}"))


def _checked_path(path: str) -> bytes:
    from .catalog.contextfiles import checked_path

    return checked_path("FilePath", Parameters({"FilePath": path}).file_name("FilePath"))
