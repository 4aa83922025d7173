"""The ASGI application: routes a request, bounds it, and sends what the service answers."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from ctxmgr.errors import ServiceError
from ctxmgr.reasons import reason
from ctxmgr.service.api.envelope import failure, new_request_id
from ctxmgr.service.contextservice import ContextService

from .accessrecord import AccessRecord
from .answering import Answering, HttpAnswer, told
from .bodies import Gone, Refused, forget, gone, read_body
from .faults import Dropped, Interfere
from .limits import MAX_FORM, SECONDS_FOR_A_FORM
from .metrics import HEALTH, SCRAPE, TEXT, Metrics
from .nodedoor import NodeDoor
from .outflow import WAY, Broken, Outflow, Outlet
from .reading import ActionRequest, base_url, read_action, read_request
from .transferring import Transfers
from .writing import JSON, Receive, Scope, Send, encoded, send_answer

__all__ = ["App"]

logger = logging.getLogger(__name__)

FILES = "/files/"
SECONDS_FOR_HEALTH = 5.0
NODE = "/node/"


class App:
    """See the module.

    Args:
        service: what answers.
        answering: the way to it.
        metrics: counts.
        url: under which clients reach the service; "" takes what each one called it.
        interfere: a test's.
    """

    def __init__(
        self,
        service: ContextService,
        answering: Answering,
        metrics: Metrics,
        *,
        url: str = "",
        interfere: Interfere | None = None,
    ) -> None:
        self._service = service
        self._answering = answering
        self._metrics = metrics
        self._url = url
        self._interfere = interfere
        self._transfers = Transfers(service, answering.files, metrics)
        self._nodes = NodeDoor(service, answering, self._interfered)
        self.outflow = Outflow()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        client = scope.get("client")
        record = AccessRecord(client[0] if client else "")
        try:
            await self._route(scope, receive, Outlet(self.outflow, scope, send), record)
        except (Dropped, Broken) as error:
            if isinstance(error, Broken):
                logger.info("request broke off: %s: %s", record.action, error)
            record.code = record.code or "Aborted"
            await _cut(scope, receive)
        except Gone:
            record.code = "Gone"
        finally:
            record.close(self._metrics)

    async def _route(self, scope: Scope, receive: Receive, send: Outlet, record: AccessRecord) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            await self._dispatch(scope, headers, receive, send, record)
            return
        except Refused as refused:
            status, error, more = refused.status, refused.error, refused.headers
        except ServiceError as refused:
            status, error, more = 0, refused, ()
        except (asyncio.CancelledError, Dropped, Gone, Broken):
            raise
        except Exception as problem:
            logger.exception("a request failed: %s", record.action)
            status, error, more = 500, ServiceError("InternalError", f"the request failed: {reason(problem)}"), ()
        await self._refuse(status, error, more, send, record)

    async def _refuse(
        self,
        status: int,
        error: ServiceError,
        headers: tuple[tuple[str, str], ...],
        send: Send,
        record: AccessRecord,
    ) -> None:
        envelope = failure(new_request_id(), error)
        if status:
            envelope["HttpStatusCode"] = status
        record.status = int(envelope["HttpStatusCode"])
        record.code, record.request_id = error.code, str(envelope["RequestId"])
        body = encoded(envelope)
        record.sent = len(body)
        # What the client still sends of its request would be taken for the next one.
        await send_answer(send, record.status, body, headers=[*headers, ("connection", "close")])

    async def _dispatch(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Outlet, record: AccessRecord
    ) -> None:
        method, path = scope["method"], scope["path"]
        if path == "/":
            _allow(method, "POST")
            await self._act(scope, headers, receive, send, record)
        elif path.startswith(FILES):
            _allow(method, "GET", "HEAD", "PUT", "POST")
            await self._transfer(method, path[len(FILES) :], headers, receive, send, record)
        elif path.startswith(NODE):
            _allow(method, "POST")
            await self._nodes.answer(path[len(NODE) :], headers, receive, send, record)
        elif path == "/healthz":
            _allow(method, "GET", "HEAD")
            await self._health(send, record)
        elif path == "/metrics":
            _allow(method, "GET", "HEAD")
            record.action, record.code, record.status = SCRAPE, "ok", 200
            body = await self._answering.reading.run(self._metrics.text)
            record.sent = len(body)
            await send_answer(send, 200, body, kind=TEXT)
        else:
            raise Refused(
                404, ServiceError("InvalidPath.NotFound", f"there is nothing at {path[:100]!r}: POST actions to /")
            )

    async def _act(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send, record: AccessRecord
    ) -> None:
        query = scope["query_string"]
        record.action = read_action(query, headers)
        body = await read_body(headers, receive, most=MAX_FORM, advice="send fewer or shorter parameters")
        record.received = len(body)
        try:
            request = read_request(query, headers, body)
            record.action = request.action
            dropped = await self._interfered(request.action)
        except ServiceError as error:
            # Like any refusal of the service's own: the request came whole, so the connection can go on.
            refused = told(failure(new_request_id(), error))
            record.status, record.code, record.request_id = refused.status, refused.code, refused.request_id
            record.sent = len(refused.body)
            await send_answer(send, refused.status, refused.body)
            return
        url = self._url or base_url(scope["scheme"], headers, scope.get("server"))
        answer = await self._answered(request, url, receive)
        if answer is None:
            raise Gone
        if answer.caller is not None:
            record.account, record.key_id = answer.caller.account, answer.caller.key_id
        record.request_id, record.code, record.parked = answer.request_id, answer.code, answer.parked
        if dropped:
            raise Dropped
        record.status, record.sent = answer.status, len(answer.body)
        await send_answer(send, answer.status, answer.body)

    async def _answered(self, request: ActionRequest, url: str, receive: Receive) -> HttpAnswer | None:
        if not request.parameters.get("WaitMs"):
            nobody: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            return await self._answering.answer(request, url, nobody)
        leaving = asyncio.ensure_future(gone(receive))
        try:
            return await self._answering.answer(request, url, leaving)
        finally:
            leaving.cancel()

    async def _transfer(
        self,
        method: str,
        token: str,
        headers: Mapping[str, str],
        receive: Receive,
        send: Outlet,
        record: AccessRecord,
    ) -> None:
        await self._interfered("PutFile" if method == "PUT" else "GetFile")
        if method == "POST":
            body = await read_body(headers, receive, most=MAX_FORM, advice="name fewer paths")
            record.received = len(body)
            await self._transfers.post(token, body, record, send)
            return
        if method != "PUT":
            await self._transfers.get(method, token, headers, record, send)
            return
        whole = False

        async def receive_piece() -> MutableMapping[str, Any]:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)
            return message

        try:
            await self._transfers.put(token, headers, record, receive_piece, send)
        except ServiceError:
            # Of a body that was read to its end nothing more comes, and waiting for it would only delay the refusal.
            if not whole:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(forget(headers, receive), SECONDS_FOR_A_FORM)
            raise

    async def _health(self, send: Send, record: AccessRecord) -> None:
        record.action = HEALTH
        try:
            await asyncio.wait_for(self._answering.reading.run(self._service.check), SECONDS_FOR_HEALTH)
        except asyncio.TimeoutError:
            problem = f"the catalog did not answer within {SECONDS_FOR_HEALTH:g} s"
        except Exception as error:
            problem = reason(error)
        else:
            problem = ""
        document = {"status": "unavailable", "reason": problem} if problem else {"status": "ok"}
        record.status, record.code = (503, "ServiceUnavailable") if problem else (200, "ok")
        body = json.dumps({**document, "time": int(time.time())}).encode()
        record.sent = len(body)
        await send_answer(send, record.status, body, kind=JSON)

    async def _interfered(self, action: str) -> bool:
        """Let a test interfere; return whether it wants the answer lost."""
        if self._interfere is None:
            return False
        interference = await self._interfere(action)
        if interference is None:
            return False
        if interference.refuse is not None:
            raise interference.refuse
        if interference.drop == "before":
            raise Dropped
        return interference.drop == "after"


def _allow(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise Refused(
            405,
            ServiceError("InvalidMethod.NotAllowed", f"{method} is not for this: send {' or '.join(allowed)}"),
            (("allow", ", ".join(allowed)),),
        )


async def _cut(scope: Scope, receive: Receive) -> None:
    scope["extensions"][WAY].abort()
    await gone(receive)
