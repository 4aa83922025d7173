"""A node that only speaks: it has no directory, and says over HTTP what a test wants it to say."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
import requests
from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.chunks import PackWriter
from ctxmgr.engine.content.packs import Located, SealedPack
from ctxmgr.engine.manifest.entries import FILE, Entry, Manifest
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.nodewire.objects import blocks_of

from .asking import PATIENCE, Asker

__all__ = [
    "Refusal",
    "SpeakingNode",
    "TakingInBackground",
    "changing",
    "file_of",
    "one_pack",
    "packed",
    "refused",
    "refusing",
    "split",
]

_M = TypeVar("_M", bound=nodewire.Message)


class Refusal(Exception):
    """The service refused a call."""

    def __init__(self, status: int, envelope: Mapping[str, Any]) -> None:
        super().__init__(f"[{envelope['Code']}] {envelope['Message']}")
        self.status = status
        self.code = str(envelope["Code"])
        assert envelope["RequestId"]
        assert not envelope["Success"]


class SpeakingNode:
    """See the module."""

    def __init__(self, asker: Asker, node_id: str = "") -> None:
        self.id = node_id or f"node-{secrets.token_hex(16)}"
        self.host, self.pid = "sandbox", 42
        self.running: list[str] = []
        self._asker = asker

    def post(self, name: str, body: bytes, **headers: str) -> requests.Response:
        return self._asker.http.post(
            f"{self._asker.endpoint}/node/{name}",
            data=body,
            headers={"Authorization": f"Bearer {self._asker.key}", **headers},
            timeout=(PATIENCE, 3 * PATIENCE),
        )

    def raw(self, message: nodewire.Message) -> bytes:
        """Return the body of the answer to a message."""
        (name,) = (name for name, (kind, _) in nodewire.CALLS.items() if kind is type(message))
        response = self.post(name, nodewire.encode(message))
        if response.status_code != 200:
            raise Refusal(response.status_code, response.json())
        return response.content

    def say(self, message: nodewire.Message, kind: type[_M]) -> _M:
        return nodewire.decode(self.raw(message), kind)

    def do(self, message: nodewire.Message) -> None:
        self.say(message, nodewire.Done)

    def session(self, context: str = "", path: str = "/", policy: str = "", **more: object) -> str:
        """Make a session whose directory this node has, and which downloads nothing by itself."""
        text = policy or '{"downloadPolicy": {"autoDownload": false}}'
        binding = {"ContextId": context or self._asker.context(), "Path": path, "Policy": text}
        place = {"Node": self.id, "NodeHost": self.host, "NodePid": self.pid, "Root": "/home/me"}
        made = self._asker.data("CreateMcpSession", PersistenceDataList=[binding], **{**place, **more})
        return str(made["SessionId"])

    def attach(self, session: str, root: str = "/home/me") -> list[str]:
        return self.say(nodewire.Attach(self.id, session, root, self.host, self.pid), nodewire.Attached).tasks

    def take(
        self, wait_ms: int = 0, running: Iterable[str] | None = None, sessions: Iterable[str] = ()
    ) -> nodewire.Taken:
        told = self.running if running is None else list(running)
        asked = nodewire.Take(self.id, self.host, self.pid, wait_ms, told, list(sessions))
        return self.say(asked, nodewire.Taken)

    def begun(self, session: str, mode: str = "upload") -> str:
        """Have someone ask for a sync, take it, and begin it."""
        (task,) = self._asker.data("SyncContext", SessionId=session, Mode=mode)["TaskIds"]
        assert task in [each.id for each in self.take().tasks]
        self.do(nodewire.Start(self.id, task))
        self.running.append(task)
        return str(task)

    def commit(self, task: str, *changes: RowChange, head: int = 0, done: bool = True, **more: Any) -> None:
        outcome = nodewire.OutcomeMessage(head + len(changes), files=1) if done else None
        self.do(nodewire.Commit(self.id, task, head, packed(*changes), outcome=outcome, **more))

    def store(self, *contents: bytes) -> SealedPack:
        pack = one_pack(*contents)
        self.do(nodewire.StorePack(pack.name, len(pack.data), pack.data))
        return pack

    def missing(self, *digests: bytes) -> set[bytes]:
        return split(self.say(nodewire.Missing(b"".join(digests)), nodewire.Digests).digests)

    def locate(self, *digests: bytes) -> dict[bytes, Located]:
        places = self.say(nodewire.Locate(b"".join(digests)), nodewire.Places).places
        found = nodewire.unpack(places, list[tuple[bytes, str, int, int, int]])
        return {digest: Located(*place) for digest, *place in found}

    def changes(self, context: str, *paths: str, **more: Any) -> tuple[nodewire.ChangesPage, list[Any]]:
        page = self.say(nodewire.Changes(context, list(paths) or ["/"], **more), nodewire.ChangesPage)
        return page, nodewire.unpack(page.entries, list[tuple[bytes, Entry | None]])


class TakingInBackground:
    """A ``take`` that is on its way in another thread."""

    def __init__(self, asker: Asker, node: SpeakingNode, wait_ms: int = 10_000) -> None:
        self._asked = (asker.endpoint, asker.key, node.id, wait_ms)
        self._answer: nodewire.Taken | Exception | None = None
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def answer(self) -> nodewire.Taken:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "no answer came"
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer

    def _take(self) -> None:
        endpoint, key, node_id, wait_ms = self._asked
        try:
            with Asker(endpoint, key) as asker:
                self._answer = SpeakingNode(asker, node_id).take(wait_ms)
        except Exception as error:
            self._answer = error


class _Kept:
    """A store that keeps the packs that it is given to itself."""

    at_once = 1

    def __init__(self) -> None:
        self.packs: list[SealedPack] = []

    def missing(self, digests: Iterable[bytes]) -> set[bytes]:
        return set(digests)

    def put(self, pack: SealedPack) -> None:
        self.packs.append(pack)

    def locate(self, digests: Iterable[bytes]) -> dict[bytes, Located]:
        return {}

    def holders(self, digests: Iterable[bytes]) -> set[str] | None:
        return None

    def read(self, places: Iterable[Located]) -> list[memoryview]:
        return []


def one_pack(*contents: bytes) -> SealedPack:
    """Return a pack of chunks."""
    kept = _Kept()
    writer = PackWriter(kept)
    for content in contents:
        writer.add(content)
    writer.flush()
    (pack,) = kept.packs
    return pack


def file_of(content: bytes) -> Entry:
    """Return the entry of a file whose content is one chunk."""
    digest = blake3(content).digest()
    return Entry(FILE, 0o644, 1, len(content), digest, (digest,))


def refused(node: SpeakingNode, message: nodewire.Message) -> Refusal:
    """Return how a message is refused."""
    with pytest.raises(Refusal) as caught:
        node.raw(message)
    return caught.value


@contextmanager
def refusing(*codes: str) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """Check that the service refuses with one of some codes."""
    with pytest.raises(Refusal) as caught:
        yield caught
    assert caught.value.code in codes, caught.value


def changing(put: Manifest, *drop: bytes, mount: str = "/", current: tuple[bytes, ...] = ()) -> RowChange:
    return RowChange(mount, put, list(drop), {*current, *drop}, "upload", "w")


def packed(*changes: RowChange) -> bytes:
    return b"".join(nodewire.pack_blocks(blocks_of(changes))) if changes else b""


def split(joined: bytes) -> set[bytes]:
    return {joined[at : at + 32] for at in range(0, len(joined), 32)}
