"""The door for nodes: ``POST /node/<call>``, one msgpack message a request and one an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.service.api.envelope import failure, new_request_id
from ctxmgr.service.api.nodes.registry import ANSWERING, CALLS, STORING, WRITING, OpenedCall
from ctxmgr.service.contextservice import ContextService

from .access import Caller
from .accessrecord import AccessRecord
from .answering import NODE_ANSWER_THREADS, Answering, HttpAnswer
from .bodies import Gone, gone, read_body
from .faults import Dropped
from .metrics import node_action
from .outflow import Outlet
from .parking import Parked
from .reading import bearer
from .threads import Threads
from .writing import Receive, encoded, send_answer, send_head, sized, whole

__all__ = ["NodeDoor"]

_BYTES = "application/octet-stream"
_ADVICE = "send it in pieces, by stage"


class NodeDoor:
    """Between the loop and the service, for nodes. Made and used in the loop.

    Args:
        interfered: a test's; whether it wants the answer lost.
    """

    def __init__(
        self, service: ContextService, answering: Answering, interfered: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._service = service
        self._answering = answering
        self._interfered = interfered
        # As many as can be made at the same time: what is made has room already.
        self._making = asyncio.Semaphore(NODE_ANSWER_THREADS)

    async def answer(
        self, call: str, headers: Mapping[str, str], receive: Receive, send: Outlet, record: AccessRecord
    ) -> None:
        """Take one call.

        Raises:
            Refused: its body is too large, or was damaged on the way.
            Gone: the node has gone.
            Broken: it does not read.
        """
        record.action = node_action(call) if call in CALLS else ""
        key = bearer(headers.get("authorization", ""))
        body = await read_body(headers, receive, most=nodewire.MAX_BODY, advice=_ADVICE)
        record.received = len(body)
        dropped = await self._interfered(record.action)
        if call in ANSWERING:
            await self._answer_much(call, key, body, send, record, dropped=dropped)
            return
        leaving = asyncio.ensure_future(gone(receive))
        try:
            answer = await self._answered(call, key, body, leaving)
        finally:
            leaving.cancel()
        if answer is None:
            raise Gone
        if dropped:
            raise Dropped
        _note(record, answer)
        await send_answer(send, answer.status, answer.body, kind=answer.kind)

    async def _answered(self, call: str, key: str, body: bytes, leaving: asyncio.Future[None]) -> HttpAnswer | None:
        answering = self._answering
        threads = answering.node_writes if call in WRITING else answering.nodes
        threads = answering.node_stores if call in STORING else threads
        first = await threads.run(lambda: self._begin(call, key, body, threads))
        if isinstance(first, HttpAnswer):
            return first
        return await self._answering.parking.wait(first, leaving)

    async def _answer_much(
        self, call: str, key: str, body: bytes, send: Outlet, record: AccessRecord, *, dropped: bool
    ) -> None:
        async with self._making:
            holding = await send.reserve(nodewire.READ_BYTES)
            try:
                answer = await self._answering.node_answers.run(lambda: self._at_once(call, key, body))
                send.filled(holding, len(answer.body))
            except BaseException:
                send.release(holding)
                raise
        if dropped:
            send.release(holding)
            raise Dropped
        _note(record, answer)
        try:
            # Chunks are compared with their names where they are read.
            headers = sized if answer.kind == _BYTES else whole
            await send_head(send, answer.status, headers(answer.body, answer.kind))
        except BaseException:
            send.release(holding)
            raise
        await send.send_held(holding, answer.body, more=False)

    def _begin(self, call: str, key: str, body: bytes, threads: Threads) -> HttpAnswer | Parked[HttpAnswer]:
        try:
            caller = self._answering.doorkeeper.admit(key)
            opened = self._service.open_call(call, body, account=caller.account)
        except ServiceError as error:
            return _refusal(error)
        if opened.watch is None or self._answering.parking.closed:
            return _made(call, opened, caller)
        parked = Parked(threads, opened.watch, partial(self._again, call, key, opened))
        if opened.watch.ready():
            parked.leave()
            return _made(call, opened, caller)
        return parked

    def _at_once(self, call: str, key: str, body: bytes) -> HttpAnswer:
        try:
            caller = self._answering.doorkeeper.admit(key)
            return _made(call, self._service.open_call(call, body, account=caller.account), caller)
        except ServiceError as error:
            return _refusal(error)

    def _again(self, call: str, key: str, opened: OpenedCall) -> HttpAnswer:
        # The key may have been revoked while the call waited.
        try:
            return _made(call, opened, self._answering.doorkeeper.admit(key), parked=True)
        except ServiceError as error:
            return _refusal(error)


def _made(call: str, opened: OpenedCall, caller: Caller, *, parked: bool = False) -> HttpAnswer:
    try:
        body = opened.answer()
    except ServiceError as error:
        return _refusal(error, caller, parked=parked)
    kind = _BYTES if call == nodewire.READ else nodewire.CONTENT_TYPE
    return HttpAnswer(200, body, "ok", new_request_id(), caller, parked, kind)


def _refusal(error: ServiceError, caller: Caller | None = None, *, parked: bool = False) -> HttpAnswer:
    envelope = failure(new_request_id(), error)
    status = max(400, envelope["HttpStatusCode"])
    return HttpAnswer(status, encoded(envelope), error.code, envelope["RequestId"], caller, parked)


def _note(record: AccessRecord, answer: HttpAnswer) -> None:
    if answer.caller is not None:
        record.account, record.key_id = answer.caller.account, answer.caller.key_id
    record.request_id, record.code, record.parked = answer.request_id, answer.code, answer.parked
    record.status, record.sent = answer.status, len(answer.body)
