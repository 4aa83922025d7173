"""Every implementation of the engine's ``ContextStore``, over a catalog that tests can look into and change."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

from ctxmgr import nodewire
from ctxmgr._io._door import DoorWire
from ctxmgr.config import resolve
from ctxmgr.engine.policy.policy import read_policy
from ctxmgr.engine.sync.port import ContextStore
from ctxmgr.engine.sync.task import Task
from ctxmgr.node.contextstore import HttpContextStore
from ctxmgr.node.door import Door
from ctxmgr.node.manifests import Manifests
from ctxmgr.service import ContextService
from ctxmgr.service.catalog import contexts, sessions, tasks
from ctxmgr.service.catalog.database import Catalog
from ctxmgr.service.http import HttpServer
from ctxmgr.service.storage.blobstore import BlobStore
from ctxmgr.service.storage.datafolder import DataFolder
from ctxmgr.service.tasks.contextstore import CatalogContextStore

__all__ = ["ADAPTERS", "ACCOUNT", "Keeper"]

ACCOUNT = "local"
NODE = "node-of-the-tests"
_numbers = count(1)


class Keeper:
    """What a service has behind a ``ContextStore``."""

    def __init__(self, folder: Path) -> None:
        opened = DataFolder.open(folder)
        self.catalog = Catalog.open(opened.catalog)
        self.packs = BlobStore.open(opened.blobs)
        self.folder = folder

    def context(self, account: str = ACCOUNT) -> str:
        with self.catalog.write() as connection:
            return str(contexts.create(connection, account, f"project-{next(_numbers)}").id)

    def stored(self) -> list[Path]:
        """The files of all packs."""
        return sorted(file for file in (self.folder / "blobs" / "packs").rglob("*") if file.is_file())

    def task(self, context_id: str, *, mount: str = "/", policy: str = "", mode: str = "upload") -> Task:
        """Bind a context in a new session, and queue a sync of it that nobody runs."""
        session_id = f"s-{next(_numbers)}"
        read, _ = read_policy(policy, mount)
        binding = sessions.BindingRow(session_id, context_id, mount, mount, read, policy, 0)
        session = sessions.SessionRow(session_id, ACCOUNT, os.sep, False, {}, "", sessions.RUNNING, "")
        with self.catalog.write() as connection:
            sessions.create(connection, session)
            sessions.bind(connection, binding)
            return tasks.queue(connection, NODE, ACCOUNT, binding, mode, mount)[0]

    def fail(self, task: Task) -> None:
        with self.catalog.write() as connection:
            tasks.fail(connection, task.id, NODE, "ended from outside")

    def unbind(self, task: Task) -> None:
        with self.catalog.write() as connection:
            sessions.unbind(connection, task.session_id, task.context_id, task.mount)

    def remove(self, context_id: str) -> None:
        with self.catalog.write() as connection:
            contexts.remove(connection, ACCOUNT, context_id)

    def row(self, task: Task) -> Mapping[str, object]:
        with self.catalog.read() as connection:
            (row,) = tasks.named(connection, task.session_id, [task.id])
            return dict(row._mapping)


Adapter = Callable[[Keeper, str], AbstractContextManager[ContextStore]]
"""Opens the store of an account."""


@contextmanager
def in_this_process(keeper: Keeper, account: str) -> Iterator[ContextStore]:
    yield CatalogContextStore(keeper.catalog, keeper.packs, account)


@contextmanager
def over_http(keeper: Keeper, account: str) -> Iterator[ContextStore]:
    service = ContextService.open(keeper.folder)
    _, key = service.keys.create(f"a key of {account} {secrets.token_hex(4)}", account)
    with HttpServer(service) as server:
        wire = DoorWire(resolve(endpoint=server.address, api_key=key))
        door = Door(wire, threading.Event())
        if account == ACCOUNT:
            door.call(nodewire.Take(NODE, "a host", 1), nodewire.Taken)
        places = keeper.folder / f"what {account} remembers"
        places.mkdir(exist_ok=True)
        yield HttpContextStore(door, door.call(nodewire.Hello(), nodewire.Welcome), Manifests(places))
        wire.close()
    service.close()


ADAPTERS: Mapping[str, Adapter] = {"in this process": in_this_process, "over HTTP": over_http}
"""The implementations by name: one that is added here is held to all that the others are."""
