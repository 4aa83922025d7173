"""Mount paths: their spelling in a context, and the directory of a session's root that each one means."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ctxmgr.errors import ServiceError
from ctxmgr.oserrors import described

from .values import malformed, plain_text

__all__ = [
    "MAX_PATH",
    "ancestors",
    "context_prefix",
    "is_within",
    "joined",
    "normalised",
    "part_of",
    "session_root",
    "slashed",
    "workspace_directory",
]

MAX_MOUNT = 700
MAX_PATH = 4096
_WINDOWS = re.compile(r"([A-Za-z]):(?:[\\/].*)?", re.DOTALL)


def slashed(path: str) -> str:
    """Return a Windows path as the context has it, ``C:\\Users\\me`` as ``/c:/Users/me``; any other as it is."""
    drive = _WINDOWS.fullmatch(path)
    return f"/{drive[1].lower()}{path[1:]}".replace("\\", "/") if drive else path


def normalised(path: str, *, name: str = "Path", most: int = MAX_MOUNT) -> str:
    """Return the one spelling of an absolute path in a context: no doubled or trailing slash.

    A Windows path is one below its drive: ``C:\\Users\\me`` is ``/c:/Users/me``.

    Args:
        path: as it was sent.
        name: of the parameter, for the error.
        most: how many bytes it may have; ``MAX_PATH`` for one below a mount path.

    Raises:
        ServiceError: the path is not absolute, or climbs with "..".
    """
    path = slashed(path)
    if not path.startswith("/"):
        raise malformed(name, path, 'an absolute path, beginning with "/"')
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise malformed(name, path, 'a path without ".."')
    if any(character < " " for character in path):
        raise malformed(name, path, "a path without control characters")
    if len(plain_text(name, path).encode()) > most:
        raise malformed(name, path, f"a path of at most {most} bytes")
    return "/" + "/".join(parts)


def context_prefix(mount: str) -> bytes:
    """Return what precedes a file's relative path in the context: ``b"/tmp/data/"`` for a mount at ``/tmp/data``."""
    return b"/" if mount == "/" else os.fsencode(mount) + b"/"


def ancestors(path: bytes) -> list[bytes]:
    """Return an absolute path's own name and those above it, without the root: ``/a/b`` gives ``/a/b`` and ``/a``."""
    found = []
    while path not in (b"", b"/"):
        found.append(path)
        path = path.rpartition(b"/")[0]
    return found


def is_within(path: str, folder: str) -> bool:
    """Whether a real path is a folder's own or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def part_of(mount: str, path: str) -> str:
    """Return a path at or below a mount path, as a client spells it, relative to that; "" for the mount path itself."""
    return normalised(path, most=MAX_PATH)[len(mount.rstrip("/")) :].lstrip("/")


def joined(root: str, mount: str) -> str:
    """Return the path of a mount path below a session's root, as it is spelled: nothing is resolved or checked."""
    return os.path.join(root, mount.lstrip("/")).rstrip("/") or "/"


def session_root(root: str, permitted: Sequence[str] | None = None) -> str:
    """Return the real path of the directory that a session asks for as its root.

    Args:
        root: as it was asked for.
        permitted: the real paths in and below which it may lie; None for anywhere.

    Raises:
        ServiceError: it is not absolute, not an existing directory, or lies elsewhere.
    """
    if not os.path.isabs(root):
        raise malformed("Root", root, "an absolute path")
    try:
        real = os.path.realpath(root)
        # Whether a directory exists that may not be used is not told.
        if permitted is not None and not any(is_within(real, folder) for folder in permitted):
            raise ServiceError(
                "Forbidden.Root",
                f"the directory {root!r} lies in no root that this service permits the account: ask for none and "
                "the service makes one of its own, or have the service started with --root",
            )
        usable = os.path.isdir(real)
    except (OSError, ValueError):
        usable = False
    if not usable:
        raise malformed("Root", root, "a directory that exists")
    return real


def workspace_directory(root: str, mount: str, *, make: bool) -> str:
    """Return the real path of the directory that a mount path means below a session's root.

    Args:
        root: the session's root, a real path.
        mount: a normalised mount path.
        make: make the directories that are missing.

    Raises:
        ServiceError: a part of it is missing, is not a directory, or leads out of the root by a symbolic link.
    """
    if not os.path.isdir(root):
        raise _unusable(root, mount, root, "it does not exist: make it again, or create another session")
    if os.path.realpath(root) != root:
        raise _unusable(
            root, mount, root, "a symbolic link has taken the place of the session's root, or of its parent"
        )
    current = root
    for part in filter(None, mount.split("/")):
        path = os.path.join(current, part)
        if make and not os.path.lexists(path):
            try:
                os.mkdir(path)
            except FileExistsError:
                pass  # someone else made it in between: what counts is what is there now
            except OSError as error:
                raise _unusable(root, mount, path, f"it can't be made: {described(error)}") from error
        current = os.path.realpath(path)
        if not is_within(current, root):
            raise _unusable(root, mount, path, f"a symbolic link leads out of the session's root, to {current!r}")
        if not os.path.isdir(current):
            reason = "it is not a directory" if os.path.lexists(path) else "it does not exist"
            raise _unusable(root, mount, path, reason)
    return current


def _unusable(root: str, mount: str, path: str, reason: str) -> ServiceError:
    return ServiceError(
        "InvalidBinding.Directory", f"the directory of {mount!r} in {root!r} can't be used: {path!r}: {reason}"
    )
