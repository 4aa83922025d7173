"""What one, two and three servers over one PostgreSQL and one S3 store answer, and how soon one hears of another.

    python benchmarks/scale.py --catalog postgresql+psycopg://... --store s3://bucket/prefix [--seconds 3] [--ends 100]

The database and the prefix are to be empty; the AWS variables say how to reach the store. Prints, for 1, 2 and 3
processes of ``ctxmgr serve``, how many GetContextInfo a second they answer to connections spread over them, and how
many uploads of a changed file a second, each asked of one server and waited for at any; with what the servers took of
the machine's processors. Then the time from a task's end, as its row has it, before the commit, to the answer at a
client parked on the server that ran it, and on another. Goal for the latter: a median of at most 10 ms.

All share the machine, this program and the database too: on few cores more processes mean more of each other's time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
from service import Client, Session, connect, rate

from ctxmgr.engine.workspace.locks import held
from ctxmgr.engine.workspace.nodefolder import NodeFolder

GOAL_MS = 10.0
MOST = 3
CONNECTIONS = 16
DIRECTORIES = 12
KEY = secrets.token_hex(16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True, help="the URL of an empty PostgreSQL database")
    parser.add_argument("--store", required=True, help="the URL of an object store")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--ends", type=int, default=100, help="of tasks that are waited for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        asyncio.run(measure(options, Path(folder)))


async def measure(options: argparse.Namespace, folder: Path) -> None:
    print(f"{os.cpu_count()} cores\n\n| processes | requests/s | syncs/s | cores that they used |")
    print("| --- | --- | --- | --- |")
    for count in range(1, MOST + 1):
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(options, folder, number)) for number in range(count)]
            before, began = cpu_seconds(servers), time.monotonic()
            requests = await asked(servers, made(folder, f"asked-{count}"), options.seconds)
            syncs = await synced(servers, folder, count, options.seconds)
            used = (cpu_seconds(servers) - before) / (time.monotonic() - began)
        print(f"| {count} | {requests:.0f} | {syncs:.1f} | {used:.2f} |")
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(options, folder, number)) for number in range(2)]
        print("\n| parked on | median | 95 % |\n| --- | --- | --- |")
        for name, parked in (("the same server", servers[0]), ("another server", servers[1])):
            latencies = await ended(options, folder, servers[0], parked, name)
            late = latencies[int(len(latencies) * 0.95)]
            print(f"| {name} | {statistics.median(latencies):.1f} ms | {late:.1f} ms |")
    print(f"goal for another server: a median of at most {GOAL_MS:g} ms")


class Server:
    """A ``ctxmgr serve``, until the end of a ``with`` statement."""

    key = KEY

    def __init__(self, options: argparse.Namespace, folder: Path, number: int) -> None:
        self.data = folder / f"data-{number}"
        command = [sys.executable, "-m", "ctxmgr", "serve", "--port", "0", "--data", str(self.data)]
        environment = os.environ | {"CTXMGR_CATALOG": options.catalog, "CTXMGR_STORE": options.store}
        with (folder / f"log-{number}").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--root", str(folder)],
                env=environment | {"CTXMGR_API_KEY": KEY},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"ctxmgr serve did not start: {(folder / f'log-{number}').read_text()}")
        self.address = line.split()[-1]
        self.port = int(self.address.rpartition(":")[2])

    def parked(self) -> int:
        """Return how many requests wait."""
        with urlopen(f"{self.address}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return int(float(next(line for line in lines if line.startswith("ctxmgr_parked_requests ")).split()[1]))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        self.process.wait()


def made(folder: Path, name: str) -> Path:
    """Make a directory, and return its real path."""
    directory = folder.resolve() / name
    directory.mkdir()
    return directory


def cpu_seconds(servers: list[Server]) -> float:
    """Return how many seconds of processors servers have taken."""
    fields = [Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split() for server in servers]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


async def asked(servers: list[Server], directory: Path, seconds: float) -> float:
    """Return how many requests a second servers answer."""
    session = await Session.of(servers[0], directory)
    request = session.request("GetContextInfo", TaskIds=json.dumps(await session.sync()))
    connections = [await connect(servers[number % len(servers)].port) for number in range(CONNECTIONS)]
    await rate(connections, request, seconds / 4)
    return await rate(connections, request, seconds)


async def synced(servers: list[Server], folder: Path, count: int, seconds: float) -> float:
    """Return how many syncs a second servers make of directories that are spread over them."""
    done = 0

    async def keep(number: int) -> None:
        nonlocal done
        directory = made(folder, f"synced-{count}-{number}")
        session = await Session.of(servers[number % len(servers)], directory)
        anywhere = [await connect(server.port) for server in servers]
        while time.monotonic() < end:
            (directory / "file").write_text(secrets.token_hex())
            tasks = json.dumps(await session.trigger())
            await waited(random.choice(anywhere), session, tasks)
            done += 1

    began = time.monotonic()
    end = began + seconds
    await asyncio.gather(*(keep(number) for number in range(DIRECTORIES)))
    return done / (time.monotonic() - began)


async def waited(client: Client, session: Session, tasks: str) -> dict[str, Any]:
    """Wait for a task to end well, and return its entry."""
    answer = await client.send(session.request("GetContextInfo", TaskIds=tasks, WaitMs="60000"))
    entry: dict[str, Any] = json.loads(json.loads(answer["Data"]["ContextStatus"])[0]["data"])[0]
    assert entry["status"] == "Success", entry
    return entry


async def ended(options: argparse.Namespace, folder: Path, runs: Server, parked: Server, name: str) -> list[float]:
    """Return, in order, the milliseconds from the ends of tasks at a server to the answers where they are awaited."""
    directory = made(folder, name)
    session, client = await Session.of(runs, directory), await connect(parked.port)
    lock = NodeFolder(runs.data).workspace_lock(str(directory))
    latencies = []
    with psycopg.connect(options.catalog.replace("+psycopg", ""), autocommit=True) as catalog:
        for number in range(options.ends):
            (directory / "file").write_text(f"{number}")
            with held(lock, lambda: None):
                (task,) = await session.trigger()
                waiting = asyncio.ensure_future(waited(client, session, json.dumps([task])))
                while not await asyncio.to_thread(parked.parked):
                    pass
            await waiting
            answered = time.time() - (time.monotonic() - client.answered)
            row = catalog.execute("SELECT finished_ms FROM tasks WHERE id = %s", (task,)).fetchone()
            assert row is not None
            latencies.append(1000 * answered - row[0])
    return sorted(latencies)


if __name__ == "__main__":
    main()
