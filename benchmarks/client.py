"""What the client costs: CPU per info(), side by side with the bare library asking the same server the same thing.

    python benchmarks/client.py [--rounds 15] [--calls 200]

Prints the median, over alternating rounds, of ctxmgr's CPU seconds divided by the bare library's. Goals: at most 0.6
against ``requests.Session.post(...).json()``, and at most 1.5 for the twin against bare aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import requests

import ctxmgr
import ctxmgr_async

KEY = "benchmark"
SESSION = "s-benchmark"
QUERY = {"Action": "GetContextInfo", "Format": "json", "Version": "2025-05-06"}
FORM = {"Authorization": f"Bearer {KEY}", "SessionId": SESSION}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=200, help="calls a round and side")
    options = parser.parse_args()
    endpoint, stop = start_server()
    try:
        report("ctxmgr / requests", blocking(endpoint, options.rounds, options.calls), goal=0.6)
        report("ctxmgr_async / aiohttp", asyncio.run(twin(endpoint, options.rounds, options.calls)), goal=1.5)
    finally:
        stop()


def blocking(endpoint: str, rounds: int, calls: int) -> list[tuple[float, float]]:
    """Measure the blocking client; give pairs of CPU seconds a call, ours and the peer's."""
    with ctxmgr.Client(endpoint=endpoint, api_key=KEY) as client, requests.Session() as session:
        manager = client.session(SESSION).context

        def ours() -> None:
            assert manager.info().context_status_data[0].status == "Success"

        def bare() -> None:
            answer = session.post(endpoint, params=QUERY, data=FORM, timeout=(10, 60)).json()
            assert answer["Success"]

        def cpu(call: Callable[[], None]) -> float:
            began = time.process_time()
            for _ in range(calls):
                call()
            return (time.process_time() - began) / calls

        for call in (ours, bare):
            cpu(call)
        return [(cpu(ours), cpu(bare)) for _ in range(rounds)]


async def twin(endpoint: str, rounds: int, calls: int) -> list[tuple[float, float]]:
    """Measure the asyncio client; give pairs of CPU seconds a call, ours and the peer's."""
    async with (
        ctxmgr_async.Client(endpoint=endpoint, api_key=KEY) as client,
        aiohttp.ClientSession() as session,
    ):
        manager = client.session(SESSION).context

        async def ours() -> None:
            assert (await manager.info()).context_status_data[0].status == "Success"

        async def bare() -> None:
            async with session.post(endpoint, params=QUERY, data=FORM) as response:
                assert (await response.json())["Success"]

        async def cpu(call: Callable[[], Awaitable[None]]) -> float:
            began = time.process_time()
            for _ in range(calls):
                await call()
            return (time.process_time() - began) / calls

        for call in (ours, bare):
            await cpu(call)
        return [(await cpu(ours), await cpu(bare)) for _ in range(rounds)]


def report(title: str, pairs: list[tuple[float, float]], goal: float) -> None:
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    ours = statistics.median(ours for ours, _ in pairs) * 1e6
    bare = statistics.median(bare for _, bare in pairs) * 1e6
    print(f"{title}: {ratio:.2f} (goal: at most {goal}); CPU per call {ours:.0f} µs / {bare:.0f} µs")


def start_server() -> tuple[str, Callable[[], None]]:
    """Start the server both sides ask, in a process of its own so that its CPU is not counted."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    port = ours.recv()

    def stop() -> None:
        process.terminate()
        process.join()

    return f"http://127.0.0.1:{port}", stop


def serve(pipe: Connection) -> None:
    """Answer every request with one finished task."""
    entry = {
        "contextId": "SdkCtx-1",
        "path": "/data",
        "status": "Success",
        "errorMessage": "",
        "startTime": 1,
        "finishTime": 2,
        "taskType": "upload",
    }
    status = json.dumps([{"type": "data", "data": json.dumps([entry])}])
    body = json.dumps({"RequestId": "r-1", "Success": True, "Code": "ok", "Data": {"ContextStatus": status}}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
