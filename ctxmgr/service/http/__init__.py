"""The HTTP door: the context service on a socket, with no logic of its own.

Imports ``contextservice`` and what is below it; imported by the command and by ``ctxmgr.testing``.
"""

from __future__ import annotations

from .server import HttpServer

__all__ = ["HttpServer"]
