"""Proof that a client and the service mean the same directory by a path: one writes a token there, the other reads it.

A path alone proves nothing: another machine, or another container of this one, may have a directory of the same path.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ctxmgr.engine.manifest.entries import TEMPORARY_PREFIX
from ctxmgr.engine.policy.mounts import session_root
from ctxmgr.engine.policy.values import malformed
from ctxmgr.errors import ServiceError

from .parameters import Parameters

if TYPE_CHECKING:
    from ctxmgr.service.tasks.runtime import Runtime

__all__ = ["prove_root", "written_proof"]

# A temporary name of ours: no sync takes it along, and what a killed client leaves is removed by the next.
_PREFIX = os.fsdecode(TEMPORARY_PREFIX)
_NAME = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}")
_TOKEN = re.compile(rb"[0-9a-f]{32}")


@contextmanager
def written_proof(directory: str) -> Iterator[tuple[str, str]]:
    """Write a token into a directory for the time of a ``with`` statement; yield the file's name and the token.

    Raises:
        OSError: nothing can be written there.
    """
    name, token = f"{_PREFIX}{secrets.token_hex(8)}", secrets.token_hex(16)
    path = os.path.join(directory, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o644)  # the service may be another user's; the token opens nothing
            file.write(token)
        yield name, token
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def prove_root(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer ProveRoot (ext): the token in a directory that the account may have sessions in, or "" if there is none.

    Nothing else can be read so: the name is one that only a proof has, and what is not a token is not told.
    """
    name, asked = parameters.required("Proof"), parameters.file_name("Root")
    if not asked:
        raise ServiceError("InvalidParameter.Missing", "the parameter Root is missing: send it")
    if not _NAME.fullmatch(name):
        raise malformed("Proof", name, "the name of a proof")
    permitted = None if runtime.roots is None else runtime.roots.get(account, ())
    root = session_root(asked, permitted)
    return {"Data": {"Token": _token(os.path.join(root, name))}}


def _token(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        content = os.read(descriptor, 64) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
    return content.decode("ascii") if _TOKEN.fullmatch(content) else ""
