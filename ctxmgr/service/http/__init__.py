"""The HTTP door: the context service on a socket, with no logic of its own."""

from __future__ import annotations

from .server import HttpServer

__all__ = ["HttpServer"]
