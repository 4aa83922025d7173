"""Answers requests of the protocol: who asks, whether the request is to wait, and what the service says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from ctxmgr.errors import ServiceError
from ctxmgr.service.api.envelope import failure, new_request_id
from ctxmgr.service.contextservice import ContextService
from ctxmgr.service.tasks.watch import Watch

from .access import Caller, Doorkeeper
from .parking import Parked, Parking
from .reading import ActionRequest
from .threads import Threads
from .writing import JSON, encoded

__all__ = ["Answering", "HttpAnswer", "told"]

READING_THREADS, WRITING_THREADS, SCANNING_THREADS, FILE_THREADS = 4, 4, 2, 3
NODE_THREADS, NODE_WRITE_THREADS, NODE_ANSWER_THREADS, NODE_STORE_THREADS = 3, 2, 3, 2
READING = frozenset(
    [
        "DescribeContextFile",
        "DescribeContextFiles",
        "DescribeSessionContexts",
        "GetContextInfo",
        "GetLabel",
        "GetSession",
        "GetSessionDetail",
        "ListContexts",
        "ListRevisions",
        "ListSession",
    ]
)
"""Actions that wait for nobody: they have threads of their own, since who writes waits for the writer before."""
NO_ACTION = frozenset(["InvalidAction.NotFound", "UnsupportedAction"])
SCANNING = frozenset(["PlanSync"])
"""Actions that look at whole directories, which takes as long as it takes."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer, and what the access log tells of it.

    Attributes:
        status: of HTTP. An answer that the service decided on, be it a refusal, comes with 200: from any other status
            AgentBay's SDKs make an exception that hides the code, where they show ``[Code] Message`` otherwise. Only
            that the service failed, or is closing, is told to whatever stands in between as well; and that an action
            is none of this service's, whose refusal with 200 some of these SDKs take for a success without data.
    """

    status: int
    body: bytes
    code: str
    request_id: str
    caller: Caller | None = None
    parked: bool = False
    kind: str = JSON


class Answering:
    """Between the loop and the service. Made and used in the loop.

    Attributes:
        doorkeeper, parking: those of all requests.
        reading, files: threads for what is quick to read, and for files by URL.
        nodes, node_writes, node_answers, node_stores: threads for the calls of nodes: those that wait for nobody, so
            that a node is heard whoever writes, those that write, those that answer much, and those that bring much.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, service: ContextService, doorkeeper: Doorkeeper) -> None:
        self._service = service
        self.doorkeeper = doorkeeper
        self.parking: Parking[HttpAnswer] = Parking(loop)
        self.reading = Threads(loop, READING_THREADS, "ctxmgr-http-reading")
        self.files = Threads(loop, FILE_THREADS, "ctxmgr-http-files")
        self._writing = Threads(loop, WRITING_THREADS, "ctxmgr-http-writing")
        self._scanning = Threads(loop, SCANNING_THREADS, "ctxmgr-http-scanning")
        self.nodes = Threads(loop, NODE_THREADS, "ctxmgr-http-nodes")
        self.node_writes = Threads(loop, NODE_WRITE_THREADS, "ctxmgr-http-node-writes")
        self.node_answers = Threads(loop, NODE_ANSWER_THREADS, "ctxmgr-http-node-answers")
        self.node_stores = Threads(loop, NODE_STORE_THREADS, "ctxmgr-http-node-stores")
        doorkeeper.later = self._writing.submit

    async def answer(self, request: ActionRequest, base_url: str, gone: asyncio.Future[None]) -> HttpAnswer | None:
        """Answer a request.

        Args:
            base_url: under which the client reached the service.
            gone: done when the client has gone.

        Returns:
            the answer; None if nobody waits for it any more.
        """
        first = await self._threads(request.action).run(lambda: self._begin(request, base_url))
        if isinstance(first, HttpAnswer):
            return first
        return await self.parking.wait(first, gone)

    def close(self) -> None:
        """End what waits. Nothing is answered any more afterwards."""
        self.parking.close()
        ours = (self.reading, self.files, self._writing, self._scanning)
        for threads in (*ours, self.nodes, self.node_writes, self.node_answers, self.node_stores):
            threads.close()

    def _threads(self, action: str) -> Threads:
        if action in READING:
            return self.reading
        return self._scanning if action in SCANNING else self._writing

    def _begin(self, request: ActionRequest, base_url: str) -> HttpAnswer | Parked[HttpAnswer]:
        try:
            caller = self.doorkeeper.admit(request.key)
        except ServiceError as error:
            return told(failure(new_request_id(), error))
        watch = None
        if not self.parking.closed:
            watch = self._service.watch(request.action, request.parameters, account=caller.account)
        if watch is None:
            return self._handle(request, base_url, caller)
        parked = Parked(self.reading, watch, lambda: self._handle_again(request, base_url, watch))
        if watch.ready():
            parked.leave()
            return self._handle(request, base_url, caller, watch)
        return parked

    def _handle(
        self,
        request: ActionRequest,
        base_url: str,
        caller: Caller,
        watch: Watch | None = None,
        *,
        parked: bool = False,
    ) -> HttpAnswer:
        envelope = self._service.handle(
            request.action, request.parameters, account=caller.account, base_url=base_url, watch=watch
        )
        return told(envelope, caller, parked=parked)

    def _handle_again(self, request: ActionRequest, base_url: str, watch: Watch) -> HttpAnswer:
        # The key may have been revoked while the request waited.
        try:
            caller = self.doorkeeper.admit(request.key)
        except ServiceError as error:
            return told(failure(new_request_id(), error), parked=True)
        return self._handle(request, base_url, caller, watch, parked=True)


def told(envelope: dict[str, Any], caller: Caller | None = None, *, parked: bool = False) -> HttpAnswer:
    """Return an envelope as an answer."""
    status = envelope["HttpStatusCode"]
    if status < 500 and envelope["Code"] not in NO_ACTION:
        status = 200
    return HttpAnswer(status, encoded(envelope), envelope["Code"], envelope["RequestId"], caller, parked)
