"""How a binding that a caller asks for is written down."""

from __future__ import annotations

from .errors import ArgumentError
from .policies import Binding
from .results import Context

__all__ = ["wire_binding"]


def wire_binding(path: str, bound: Context | str | Binding) -> dict[str, str]:
    """Return a binding at a mount path as JSON carries it.

    Raises:
        ArgumentError: the path is not absolute.
    """
    if not path.startswith("/") and ":" not in path:
        raise ArgumentError(f"the mount path {path!r} is not absolute: write '/{path}'; '/' is the root itself")
    return (bound if isinstance(bound, Binding) else Binding(bound)).wire(path)
