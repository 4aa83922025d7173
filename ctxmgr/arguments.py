"""Checks what callers pass, before anything is sent."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import Executor
from os import PathLike
from typing import Any

import attrs

from .bounds import MAX_COUNT, MAX_SECONDS_OF_A_STEP, shown
from .completion import Budget, Target
from .errors import ArgumentError, ArgumentTypeError
from .results import Context

__all__ = ["TASK_TYPES", "SyncRequest", "absolute", "binding_filter", "context_id_of", "positive", "thread_executor"]

TASK_TYPES = ("upload", "download")


@attrs.frozen
class SyncRequest:
    """A sync as it was asked for: its target, its budget, and the parameters that ask the service for it."""

    target: Target
    budget: Budget
    parameters: dict[str, str]

    @classmethod
    def checked(
        cls,
        session_id: str,
        context_id: str | None,
        path: str | None,
        mode: str | None,
        callback: Callable[[bool], object] | None,
        max_retries: int,
        retry_interval: float,
    ) -> SyncRequest:
        """Make the request of ``ContextManager.sync``'s arguments.

        Raises:
            ArgumentError: a value can't be used.
            ArgumentTypeError: a value has the wrong type.
        """
        if mode is not None and mode not in TASK_TYPES:
            raise ArgumentError(f"mode is {mode!r}; it must be 'upload', 'download' or None")
        if callback is not None and not callable(callback):
            raise ArgumentTypeError(f"callback is {callback!r}, which can't be called")
        parameters = binding_filter(session_id, context_id, path)
        if mode is not None:
            parameters["Mode"] = mode
        budget = Budget(positive("max_retries", max_retries), _milliseconds("retry_interval", retry_interval))
        return cls(Target(mode or "upload", context_id, path), budget, parameters)


def binding_filter(session_id: str, context_id: str | None, path: str | None) -> dict[str, str]:
    """Give the parameters that name a session and one of its bindings, or all of them.

    Raises:
        ArgumentError: only one of ``context_id`` and ``path`` is given, or one is empty.
    """
    for name, value in (("context_id", context_id), ("path", path)):
        if value is not None and not isinstance(value, str):
            raise ArgumentTypeError(f"{name} is {value!r}; it must be a string or None")
        if value == "":
            raise ArgumentError(f"{name} is empty; leave it out to mean every bound context")
    if context_id is None and path is not None:
        raise ArgumentError(f"path {path!r} is given without context_id; give both to name a binding, or neither")
    if context_id is not None and path is None:
        raise ArgumentError(f"context_id {context_id!r} is given without path; give both to name a binding, or neither")
    parameters = {"SessionId": session_id}
    if context_id is not None and path is not None:
        parameters |= {"ContextId": context_id, "Path": path}
    return parameters


def context_id_of(context: Context | str) -> str:
    """Give the id of a context that is named by itself or by its id.

    Raises:
        ArgumentTypeError: it is neither.
    """
    context_id = context.id if isinstance(context, Context) else context
    if not isinstance(context_id, str) or not context_id:
        raise ArgumentTypeError(f"{context!r} is neither a Context nor the id of one")
    return context_id


def absolute(directory: str | PathLike[str]) -> str:
    """Give a directory's absolute path; ``~`` is the home directory."""
    return os.path.abspath(os.path.expanduser(directory))


def positive(name: str, value: int, most: int = MAX_COUNT) -> int:
    """Return a whole number of at least 1.

    Raises:
        ArgumentError: it is less, or more than it may be.
        ArgumentTypeError: it is not a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"{name} is {value!r}; it must be a whole number")
    if value < 1:
        raise ArgumentError(f"{name} is {shown(value)}; it must be at least 1")
    if value > most:
        raise ArgumentError(f"{name} is {shown(value)}; it must be at most {most}")
    return value


def thread_executor(executor: Executor | None) -> Executor | None:
    """Return an executor that can run what can't leave the process, or None.

    Raises:
        ArgumentTypeError: it is something else.
    """
    kinds = type(executor).__mro__
    if executor is None or (Executor in kinds and "concurrent.futures.process" not in {k.__module__ for k in kinds}):
        return executor
    raise ArgumentTypeError(f"executor is {executor!r}; it must be a concurrent.futures.Executor that runs threads")


def _milliseconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{name} is {value!r}; it must be a number of milliseconds")
    if not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is {shown(value)}; it must be a number of milliseconds that is not negative")
    most = MAX_SECONDS_OF_A_STEP * 1000
    if value > most:
        raise ArgumentError(f"{name} is {shown(value)}; it must be at most {most} milliseconds")
    return float(value)
