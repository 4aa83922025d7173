"""Where a new session has its directory: here, as the service permits it, or at a node that is elsewhere."""

from __future__ import annotations

import os
import re
from typing import Final

from ctxmgr.engine.policy.mounts import session_root
from ctxmgr.engine.policy.values import malformed
from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import sessions
from ctxmgr.service.catalog.identifiers import new_id
from ctxmgr.service.catalog.sessions import SessionRow
from ctxmgr.service.tasks.leases import LINGERING_LEASES
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["checked_node", "checked_root", "placed", "process_of"]

MAX_HOST: Final = 255
MAX_PID: Final = 2**31
MAX_ROOT: Final = 4096
MAX_LINGER_SECONDS: Final = 366 * 24 * 3600
_NODE = re.compile(r"node-[0-9a-z-]{8,59}")


def placed(runtime: Runtime, account: str, parameters: Parameters) -> SessionRow:
    """Return the session that a request asks for, without labels and image.

    With ``Node`` (ext), its directory is at that node, which is there from now on: nothing is looked at here.

    Raises:
        ServiceError: the directory is not permitted or does not exist, or the node is not one.
    """
    asked_root, node_id = parameters.file_name("Root"), parameters.text("Node")
    session_id = new_id("s-")
    if not node_id:
        for name in ("NodeHost", "NodePid", "Linger"):
            if parameters.text(name):
                raise malformed(name, parameters.text(name), "left out unless Node is given")
        permitted = None if runtime.roots is None else runtime.roots.get(account, ())
        root = session_root(asked_root, permitted) if asked_root else str(runtime.folder.sessions / session_id)
        return SessionRow(session_id, account, root, not asked_root, {}, "", sessions.RUNNING, "", home=runtime.home)
    host, pid = process_of(parameters)
    checked_node("Node", node_id, host, pid)
    shown = checked_root(os.fsencode(asked_root).decode("utf-8", "backslashreplace"))
    leases = runtime.leases
    most = MAX_LINGER_SECONDS
    linger = parameters.number("Linger", int(LINGERING_LEASES * leases.seconds), least=1, most=most)
    leases.hear(account, node_id, host, pid)
    return SessionRow(
        session_id, account, "", False, {}, "", sessions.RUNNING, "", node_id, shown, max(linger, 1) * 1000
    )


def process_of(parameters: Parameters) -> tuple[str, int]:
    """Return the host and the process id that a request tells of its node."""
    return parameters.text("NodeHost"), parameters.number("NodePid", 0, least=0, most=MAX_PID)


def checked_node(name: str, node_id: str, host: str, pid: int) -> None:
    """Check what a node says of itself.

    Raises:
        ServiceError: it can't be that.
    """
    if not _NODE.fullmatch(node_id):
        raise malformed(name, node_id, "node- and 32 hexadecimal digits, chosen by the process")
    if len(host) > MAX_HOST or not host.isprintable():
        raise malformed(f"{name}Host", host[:80], f"a printable text of at most {MAX_HOST} characters")
    if not 0 <= pid <= MAX_PID:
        raise malformed(f"{name}Pid", pid, f"a number from 0 to {MAX_PID}")


def checked_root(root: str) -> str:
    """Return the path that a node tells people of its directory.

    Raises:
        ServiceError: it is no such text.
    """
    if not root or len(root) > MAX_ROOT or "\0" in root:
        raise ServiceError(
            "InvalidParameter.Malformed", f"the root is {root[:80]!r}: send the directory's path there, as a text"
        )
    return root
