"""What the HTTP door costs: requests a second, and how long a parked client waits for its answer after a task's end.

    python benchmarks/service.py [--rounds 7] [--seconds 1.0] [--parked 2000] [--syncs 100]

Prints the requests per second for GetContextInfo beside those of a bare application on the same server that answers a
constant, as the median of their ratio over alternating rounds; then, with that many clients parked on tasks that don't
end, the time from a task's end (its commit) to the answer at the one client that waits for it. Goal: a median of less
than 5 ms on loopback. The service's threads are counted before and while they are parked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import uvicorn

from ctxmgr.engine.workspace.locks import held
from ctxmgr.service.http.connection import Connection as HttpConnection
from ctxmgr.testing import Service, serve

GOAL_MS = 5.0
CONNECTIONS = 16
SESSIONS = 20
KEPT, MEASURED = "kept", "measured"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round and side")
    parser.add_argument("--parked", type=int, default=2000)
    parser.add_argument("--syncs", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        asyncio.run(measure(options, Path(folder)))


async def measure(options: argparse.Namespace, folder: Path) -> None:
    for name in (KEPT, MEASURED):
        (folder / name).mkdir()
    with Remote(serve_context_service, str(folder)) as service:
        with Remote(serve_constant) as bare:
            await compare(service, bare, options, folder)
        await park(service, options, folder)


async def compare(service: Remote, bare: Remote, options: argparse.Namespace, folder: Path) -> None:
    """Ask both, in turns, without a pause."""
    session = await Session.of(service, folder / MEASURED)
    (folder / MEASURED / "file").write_text("some content")
    tasks = await session.sync()
    request = session.request("GetContextInfo", TaskIds=json.dumps(tasks))
    sides = [
        ([await connect(service.port) for _ in range(CONNECTIONS)], request),
        ([await connect(bare.port) for _ in range(CONNECTIONS)], request),
    ]
    for connections, asked in sides:
        await rate(connections, asked, options.seconds / 4)
    pairs = [
        (await rate(*sides[0], options.seconds), await rate(*sides[1], options.seconds)) for _ in range(options.rounds)
    ]
    ratio = statistics.median(ours / constant for ours, constant in pairs)
    ours, constant = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"GetContextInfo: {ours:.0f} requests/s; a constant on the same server {constant:.0f}; ratio {ratio:.2f}")


async def park(service: Remote, options: argparse.Namespace, folder: Path) -> None:
    """Park many clients, and see how long one of them waits after the end of its task."""
    before = service.ask("threads")
    service.ask("hold", KEPT)
    # Syncs of one directory follow each other, and the first waits for its lock: none of these ends.
    waiting = [await Session.of(service, folder / KEPT) for _ in range(SESSIONS)]
    tasks = [await session.trigger() for session in waiting]
    parked = []
    for number in range(options.parked - 1):
        session, ids = waiting[number % SESSIONS], tasks[number % SESSIONS]
        client = await connect(service.port)
        parked.append(client)
        client.send(session.request("GetContextInfo", TaskIds=json.dumps(ids), WaitMs="60000"))
    await until(lambda: service.ask("parked") >= options.parked - 1)
    print(f"threads of the service: {before} before, {service.ask('threads')} with {len(parked) + 1} parked clients")
    measured = await Session.of(service, folder / MEASURED)
    client = await connect(service.port)
    latencies = []
    for number in range(options.syncs):
        (folder / MEASURED / "file").write_text(f"content {number}")
        service.ask("hold", MEASURED)
        ids = await measured.trigger()
        answer = client.send(measured.request("GetContextInfo", TaskIds=json.dumps(ids), WaitMs="60000"))
        await until(lambda: service.ask("parked") >= options.parked)
        service.ask("release", MEASURED)
        status = json.loads((await answer)["Data"]["ContextStatus"])
        assert json.loads(status[0]["data"])[0]["status"] == "Success"
        latencies.append((client.answered - service.ask("ended")) * 1000)
        # Whoever has waited a minute was answered, and waits again.
        for number, other in enumerate(parked):
            if other.answer is not None and other.answer.done():
                session, ids = waiting[number % SESSIONS], tasks[number % SESSIONS]
                other.send(session.request("GetContextInfo", TaskIds=json.dumps(ids), WaitMs="60000"))
    latencies.sort()
    median, late = statistics.median(latencies), latencies[int(len(latencies) * 0.95)]
    print(f"from a task's end to the answer: median {median:.2f} ms (goal: less than {GOAL_MS:g}), 95 % {late:.2f} ms")
    service.ask("release", KEPT)


class Client(asyncio.Protocol):
    """A connection that is kept, and costs as little as can be."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[dict[str, Any]] | None = None
        self.answered = 0.0
        self._received = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def send(self, request: bytes) -> asyncio.Future[dict[str, Any]]:
        self.answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.answered = time.monotonic()
        self._received = b""
        assert self.answer is not None, "an answer nobody asked for"
        if not self.answer.done():
            self.answer.set_result({"raw": body} if body[:1] != b"{" else json.loads(body))


async def connect(port: int) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    return client


async def rate(connections: list[Client], request: bytes, seconds: float) -> float:
    answered = 0
    began = time.monotonic()

    async def ask(client: Client) -> None:
        nonlocal answered
        while time.monotonic() < began + seconds:
            assert (await client.send(request))["Success"]
            answered += 1

    await asyncio.gather(*(ask(client) for client in connections))
    return answered / (time.monotonic() - began)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  (what is waited for happens in another process)
        await asyncio.sleep(0.005)


class Server(Protocol):
    """Where a session can be made."""

    port: int
    key: str


class Session:
    """A session of the service, rooted at a directory."""

    def __init__(self, key: str, client: Client) -> None:
        self.id = ""
        self._key = key
        self._client = client

    @classmethod
    async def of(cls, service: Server, root: Path) -> Session:
        session = cls(service.key, await connect(service.port))
        context = await session.call("GetContext", Name=root.name, AllowCreate="true")
        policy = json.dumps({"uploadPolicy": {"autoUpload": False}, "downloadPolicy": {"autoDownload": False}})
        binding = {"ContextId": context["Id"], "Path": "/", "Policy": policy}
        made = await session.call("CreateMcpSession", Root=str(root), PersistenceDataList=json.dumps([binding]))
        session.id = made["SessionId"]
        return session

    async def trigger(self) -> list[str]:
        return list((await self.call("SyncContext"))["TaskIds"])

    async def sync(self) -> list[str]:
        tasks = await self.trigger()
        await self.call("GetContextInfo", TaskIds=json.dumps(tasks), WaitMs="60000")
        return tasks

    async def call(self, action: str, **parameters: str) -> Any:
        answer = await self._client.send(self.request(action, **parameters))
        assert answer["Success"], answer
        return answer.get("Data")

    def request(self, action: str, **parameters: str) -> bytes:
        form = {**parameters, "Authorization": f"Bearer {self._key}"}
        body = urlencode({**form, "SessionId": self.id} if self.id else form)
        head = (
            f"POST /?Action={action}&Format=json&Version=2025-05-06 HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()


class Remote:
    """A server in a process of its own, and the pipe on which it is told what to do."""

    def __init__(self, run: Callable[..., None], *arguments: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(theirs, *arguments), daemon=True)
        self._process.start()
        self.port, self.key = self._pipe.recv()

    def ask(self, *question: str) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pipe.close()
        self._process.join(30)
        self._process.terminate()


def serve_context_service(pipe: Connection, folder: str) -> None:
    """Run the service until the pipe is closed."""
    with serve(os.path.join(folder, "data"), workers=3) as service, ExitStack() as locks:
        engine = service.service._runtime
        ended = [0.0]
        notify = engine.listeners.notify

        def noted(session_id: str) -> None:
            ended[0] = time.monotonic()
            notify(session_id)

        engine.listeners.notify = noted  # type: ignore[method-assign] # the moment after the commit is what is measured
        holds: dict[str, ExitStack] = {}
        pipe.send((urlsplit(service.endpoint).port, service.api_key))
        while (question := receive(pipe)) is not None:
            name = question[-1]
            if question[0] == "hold":
                lock = engine.folder.workspace_lock(os.path.realpath(os.path.join(folder, name)))
                holds[name] = locks.enter_context(ExitStack())
                holds[name].enter_context(held(lock, lambda: None))
            elif question[0] == "release":
                holds.pop(name).close()
            answers: Mapping[str, Callable[[], Any]] = {
                "ended": lambda: ended[0],
                "parked": lambda: parked(service),
                "threads": threading.active_count,
            }
            pipe.send(answers.get(question[0], lambda: None)())


def parked(service: Service) -> int:
    """Count those that listen for the end of a task: each is one parked request."""
    listeners = service.service._runtime.listeners
    return sum(len(group) for group in list(listeners._by_session.values()))


def serve_constant(pipe: Connection) -> None:
    """Answer everything with one constant, until the pipe is closed."""
    body = json.dumps({"RequestId": "R" * 32, "Success": True, "Code": "ok", "Data": {"ContextStatus": "x" * 600}})

    async def app(
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            pipe.send((self.servers[0].sockets[0].getsockname()[1], ""))

    application: Any = app
    settings: dict[str, Any] = {"loop": "asyncio", "lifespan": "off", "ws": "none", "log_config": None}
    config = uvicorn.Config(application, http=HttpConnection, port=0, access_log=False, **settings)
    server = Server(config)
    threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True).start()
    while receive(pipe) is not None:
        pass


def receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return None


if __name__ == "__main__":
    main()
