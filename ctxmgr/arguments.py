"""Checks what callers pass, before anything is sent."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from inspect import getattr_static, iscoroutinefunction
from os import PathLike
from typing import Any, Literal, get_args

import attrs

from .bounds import MAX_COUNT, MAX_SECONDS_OF_A_STEP, shown
from .completion import Budget, Target
from .errors import ArgumentError, ArgumentTypeError, NotFoundError, SyncFailed
from .results import Context, ContextBinding, Revision

__all__ = [
    "SyncMode",
    "SyncRequest",
    "absolute",
    "binding_filter",
    "context_id_of",
    "existing_directory",
    "paging",
    "positive",
    "revision_name",
    "thread_executor",
]

SyncMode = Literal["upload", "download"]
_PREFIX = "SdkCtx-"


@attrs.frozen
class SyncRequest:
    """A sync as it was asked for: its target, its budget, and the parameters that ask the service for it.

    Attributes:
        needed: the names of parameters that the service must say it understands.
    """

    target: Target
    budget: Budget
    parameters: dict[str, str]
    needed: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        session_id: str,
        context: Context | str | None,
        path: str | None,
        mode: SyncMode | None,
        callback: Callable[[bool], object] | None,
        max_retries: int,
        retry_interval: float,
        async_callbacks: bool,
        choices: Mapping[str, str] | None = None,
        needed: tuple[str, ...] = (),
    ) -> SyncRequest:
        """Make the request of ``ContextManager.sync``'s arguments.

        Args:
            async_callbacks: whether the callback may be an async function.
            choices: the parameters that have it done otherwise than its binding's policy says.
            needed: the names of those that the service must say it understands.

        Raises:
            ArgumentError: a value can't be used.
            ArgumentTypeError: a value has the wrong type.
        """
        if mode is not None and mode not in get_args(SyncMode):
            raise ArgumentError(f"mode is {mode!r}; it must be 'upload', 'download' or None")
        if callback is not None:
            _check_callback(callback, async_callbacks)
        parameters = binding_filter(session_id, context, path)
        context_id = parameters.get("ContextId")
        if mode is not None:
            parameters["Mode"] = mode
        parameters |= choices or {}
        budget = Budget(positive("max_retries", max_retries), _milliseconds("retry_interval", retry_interval))
        return cls(Target(mode or "upload", context_id, path), budget, parameters, needed)

    @property
    def needs_path(self) -> bool:
        """Whether only the context is given, so that the path has to be looked up among the session's bindings."""
        return self.target.context_id is not None and self.target.path is None

    def bound(self, bindings: Sequence[ContextBinding]) -> SyncRequest:
        """Return the request with the path at which the session binds its context.

        Raises:
            NotFoundError: the session does not bind it.
            SyncFailed: the session binds it at several paths, and one has to be named.
        """
        context_id = self.target.context_id
        paths = [each.path for each in bindings if each.context_id == context_id]
        if not paths:
            raise NotFoundError("InvalidBinding.NotFound", _not_bound(str(context_id), bindings))
        if len(paths) > 1:
            listed = " and ".join(map(repr, paths))
            text = f"the context {context_id!r} is bound at {listed}: give path= too, or leave out both to sync all"
            raise SyncFailed("Sync.Ambiguous", text)
        parameters = {**self.parameters, "Path": paths[0]}
        return attrs.evolve(self, target=attrs.evolve(self.target, path=paths[0]), parameters=parameters)


def binding_filter(session_id: str, context: Context | str | None, path: str | None) -> dict[str, str]:
    """Return the parameters that name a session and one of its bindings, those of a context, or all of them.

    Raises:
        ArgumentError: ``path`` is given without the context, or one is empty.
    """
    context_id = context.id if isinstance(context, Context) else context
    for name, value, kinds in (("context_id", context_id, "a Context, a string"), ("path", path, "a string")):
        if value is not None and not isinstance(value, str):
            raise ArgumentTypeError(f"{name} is {value!r}; it must be {kinds} or None")
        if value == "":
            raise ArgumentError(f"{name} is empty; leave it out to mean every bound context")
    if context_id is None and path is not None:
        raise ArgumentError(f"path {path!r} is given without context_id; give both to name a binding, or neither")
    named = {"SessionId": session_id, "ContextId": context_id, "Path": path}
    return {name: value for name, value in named.items() if value is not None}


def context_id_of(context: Context | str) -> str:
    """Return the id of a context that is named by itself or by its id.

    Raises:
        ArgumentTypeError: it is neither.
    """
    context_id = context.id if isinstance(context, Context) else context
    if not isinstance(context_id, str) or not context_id:
        raise ArgumentTypeError(f"{context!r} is neither a Context nor the id of one")
    return context_id


def absolute(directory: str | PathLike[str]) -> str:
    """Return a directory's absolute path; ``~`` is the home directory."""
    return os.path.abspath(os.path.expanduser(directory))


def existing_directory(root: str | PathLike[str]) -> str:
    """Return the real path of a directory of this machine; ``~`` is the home directory.

    Raises:
        ArgumentError: there is none.
    """
    real = os.path.realpath(os.path.expanduser(root))
    if not os.path.isdir(real):
        raise ArgumentError(f"root is {os.fspath(root)!r}; it must be a directory of this machine that exists: make it")
    return real


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


def paging(max_results: int, next_token: str) -> dict[str, str]:
    """Return the parameters that name one page of a list.

    Raises:
        ArgumentError: ``max_results`` can't be used.
    """
    limit = {"MaxResults": str(positive("max_results", max_results))}
    return limit | {"NextToken": next_token} if next_token else limit


def revision_name(revision: Revision | int | datetime) -> str:
    """Return how the service is told of a revision: by its number, or by a moment at which it was the latest.

    Raises:
        ArgumentError: it is a negative number, or a time without a zone.
        ArgumentTypeError: it is neither.
    """
    if isinstance(revision, datetime):
        if revision.tzinfo is None:
            raise ArgumentError(f"{revision!r} has no time zone: give it one, as datetime.now(timezone.utc) has")
        return f"@{max(0, math.floor(revision.timestamp() * 1000))}"
    number = revision.number if isinstance(revision, Revision) else revision
    if isinstance(number, bool) or not isinstance(number, int):
        raise ArgumentTypeError(f"revision is {number!r}; it must be a Revision, the number of one, or a datetime")
    if number < 0:
        raise ArgumentError(f"revision is {number}; it must be 0, the empty context that each begins as, or more")
    return str(number)


def thread_executor(executor: Executor | None) -> Executor | None:
    """Return an executor that can run what can't leave the process, or None.

    Raises:
        ArgumentTypeError: it is something else.
    """
    kinds = type(executor).__mro__
    if executor is None or (Executor in kinds and "concurrent.futures.process" not in {k.__module__ for k in kinds}):
        return executor
    raise ArgumentTypeError(f"executor is {executor!r}; it must be a concurrent.futures.Executor that runs threads")


def _not_bound(context_id: str, bindings: Sequence[ContextBinding]) -> str:
    there = ", ".join(f"{each.context_id!r} at {each.path!r}" for each in bindings) or "nothing"
    text = f"the session does not bind the context {context_id!r}: it binds {there}"
    if context_id.startswith(_PREFIX):
        return text
    return (
        f"{text}; {context_id!r} looks like a name, and ids look like {_PREFIX}…: "
        f"get it by client.contexts.get({context_id!r}).context.id"
    )


def _check_callback(callback: object, async_callbacks: bool) -> None:
    if not callable(callback):
        raise ArgumentTypeError(f"callback is {callback!r}, which can't be called")
    if not async_callbacks and _is_async(callback):
        raise ArgumentTypeError(
            f"callback is {callback!r}, an async function, which nothing would await here: "
            "pass a plain function, or use ctxmgr_async"
        )


def _is_async(callback: object) -> bool:
    while isinstance(callback, partial):
        callback = callback.func
    called = getattr_static(type(callback), "__call__", None)
    return iscoroutinefunction(callback) or iscoroutinefunction(called)


def _milliseconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f"{name} is {value!r}; it must be a number of milliseconds")
    if not 0 <= value < math.inf:
        raise ArgumentError(f"{name} is {shown(value)}; it must be a number of milliseconds that is not negative")
    most = MAX_SECONDS_OF_A_STEP * 1000
    if value > most:
        raise ArgumentError(f"{name} is {shown(value)}; it must be at most {most} milliseconds")
    return float(value)
