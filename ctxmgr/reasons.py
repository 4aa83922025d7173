"""What an exception is called where people read it: in a task's error and in an answer."""

from __future__ import annotations

from ctxmgr.errors import CtxmgrError

__all__ = ["reason"]


def reason(error: BaseException) -> str:
    """Return in one line why something failed."""
    if isinstance(error, (CtxmgrError, OSError)):
        return _one_line(error)
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
