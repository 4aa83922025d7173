"""Calls about chunks and packs."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from typing import Final

from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.engine.content.compression import Expander
from ctxmgr.engine.content.packs import Located, SealedPack, table_of
from ctxmgr.engine.manifest.errors import ContentError
from ctxmgr.errors import ServiceError
from ctxmgr.service.storage.staging import StagedMissing, is_name
from ctxmgr.service.tasks.contentstore import CatalogContentStore
from ctxmgr.service.tasks.runtime import Runtime

__all__ = ["locate", "missing", "read", "stage", "store_pack"]

_DIGEST: Final = 32
MAX_PACK: Final = 32 << 20
"""Bytes of a pack: writers seal them at 16 MiB, and the last chunk may be one of 4 MiB."""


def missing(runtime: Runtime, account: str, message: nodewire.Missing) -> nodewire.Digests:
    """Answer which chunks have to be stored."""
    found = runtime.store(account).content.missing(_digests(message.digests))
    return nodewire.Digests(b"".join(sorted(found)))


def locate(runtime: Runtime, account: str, message: nodewire.Locate) -> nodewire.Places:
    """Answer where chunks lie."""
    found = runtime.store(account).content.locate(_digests(message.digests))
    return nodewire.Places(nodewire.pack([(digest, *place) for digest, place in found.items()]))


def stage(runtime: Runtime, account: str, message: nodewire.Stage) -> nodewire.Staged:
    """Take a piece of something large.

    Raises:
        ServiceError: ``InsufficientStorage``, or it is too large.
    """
    if not is_name(message.name) or message.size < 0 or message.offset < 0:
        raise ServiceError("InvalidParameter.Malformed", "the name is no BLAKE3 of 64 digits, or a number is negative")
    return nodewire.Staged(runtime.staging.add(account, message.name, message.size, message.offset, message.piece))


def store_pack(runtime: Runtime, account: str, message: nodewire.StorePack) -> nodewire.Done:
    """Store a pack, once each of its chunks was compared with its name.

    Raises:
        ServiceError: ``InvalidPack.Malformed``: it is not what its names say; or it was not staged.
        ContentError: it can't be stored.
    """
    if not is_name(message.name) or not 0 < message.size <= MAX_PACK:
        raise _malformed(message.name, f"a pack has 1 to {MAX_PACK} bytes, and its BLAKE3 as its name")
    content = runtime.store(account).content
    try:
        if message.data:
            _store(content, message.name, message.data)
        elif message.proof:
            _store_uploaded(runtime, account, message)
        else:
            with runtime.staging.taken(account, message.name) as file:
                _store(content, message.name, file.read(MAX_PACK + 1))
    except StagedMissing:
        # It was stored the first time that this was sent.
        if not content.has_pack(message.name):
            raise
    return nodewire.Done()


def read(runtime: Runtime, account: str, message: nodewire.Read) -> bytes:
    """Answer the stored form of chunks.

    Raises:
        ServiceError: ``InvalidChunk.NotFound``: the account has no chunk at exactly one of the places.
        ContentError: it can't be read.
    """
    size = sum(stored for _, _, stored in message.places)
    if len(message.places) > nodewire.MAX_PLACES or not 0 <= size <= nodewire.READ_BYTES:
        # A single chunk is never as large.
        raise ServiceError(
            "InvalidParameter.Malformed",
            f"{size} bytes at {len(message.places)} places are asked for, and at most {nodewire.READ_BYTES} at "
            f"{nodewire.MAX_PLACES} are answered at once: ask in parts",
        )
    content = runtime.store(account).content
    if not content.has_at(message.places):
        raise ServiceError("InvalidChunk.NotFound", "this account has no chunk at one of the places: locate it again")
    return b"".join(content.read([Located(pack, offset, stored, 0) for pack, offset, stored in message.places]))


def _store_uploaded(runtime: Runtime, account: str, message: nodewire.StorePack) -> None:
    """Store a pack that was sent straight to the object store."""
    name = message.name
    if runtime.direct is None:
        raise StagedMissing(name)
    with runtime.direct.taken(account, name, MAX_PACK) as uploaded:
        if blake3(uploaded.data).hexdigest() != name:
            raise StagedMissing(name)
        # However the bytes came there: whoever has not got them all can't know this.
        proof = blake3(uploaded.data, key=runtime.signer.challenge(account, name)).digest()
        if not hmac.compare_digest(proof, message.proof):
            raise _malformed(name, "it is not proven that the node has it")
        _store(runtime.store(account).content, name, uploaded.data, partial(uploaded.keep_as, name))


def _store(content: CatalogContentStore, name: str, data: bytes, store: Callable[[], None] | None = None) -> None:
    if blake3(data).hexdigest() != name:
        raise _malformed(name, "what came is not what its name says: send it again")
    try:
        rows = table_of(name, len(data), lambda start, end: memoryview(data)[start:end])
        expander = Expander()
        for digest, offset, stored, length in rows:
            if len(digest) != _DIGEST or not 0 < stored <= length:
                raise ContentError(f"the table of pack {name} lists what can be no chunk")
            expander.chunk(memoryview(data)[offset : offset + stored], length, digest)
    except ContentError as error:
        raise _malformed(name, str(error)) from error
    if not rows:
        raise _malformed(name, "it holds nothing")
    # A chunk that another node has stored meanwhile stays where that one's readers were told that it lies.
    fresh = content.missing([digest for digest, *_ in rows])
    if fresh:
        content.put(SealedPack(name, data, [row for row in rows if row[0] in fresh]), store)


def _digests(joined: bytes) -> list[bytes]:
    if len(joined) % _DIGEST or len(joined) > _DIGEST * nodewire.MAX_DIGESTS:
        raise ServiceError(
            "InvalidParameter.Malformed",
            f"{len(joined)} bytes were sent, and names of 32 bytes each, at most {nodewire.MAX_DIGESTS}, are expected",
        )
    return [joined[at : at + _DIGEST] for at in range(0, len(joined), _DIGEST)]


def _malformed(name: str, problem: str) -> ServiceError:
    return ServiceError("InvalidPack.Malformed", f"the pack {name[:80]!r} can't be stored: {problem}")
