"""White lists: which paths of a workspace and its context a binding syncs.

A white list names directories, relative to the mount path, and what is excluded from them, relative to the directory;
either may be regular expressions. These run on RE2, whose time is linear in the path: no pattern hangs a worker.
One that RE2 can't run so (a look-ahead, a back reference, a huge repetition) is refused when the context is bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ctxmgr.engine.manifest.entries import parent
from ctxmgr.errors import ServiceError

from .mounts import is_within
from .values import malformed

__all__ = ["Part", "Selection", "SelectionRule", "check_white_lists"]

MAX_PATTERN = 1000
MAX_PROGRAM_BYTES = 1 << 20
_WILDCARD = re.compile(r"[*?\[\]]")


@dataclass(frozen=True)
class SelectionRule:
    """One white list as it was sent.

    Attributes:
        path: a directory relative to the mount path, or a regular expression that its whole relative path matches; ""
            is the mount path itself.
        excluded: directories or files relative to ``path``, or regular expressions.
        path_is_regex: ``path`` is a regular expression.
        excluded_is_regex: ``excluded`` are regular expressions.
    """

    path: str = ""
    excluded: tuple[str, ...] = ()
    path_is_regex: bool = False
    excluded_is_regex: bool = False


def check_white_lists(lists: Sequence[SelectionRule], mount: str) -> None:
    """Check that white lists can be honoured.

    Raises:
        ServiceError: one can't; the message says why.
    """
    for item in lists:
        _pattern("path", item.path, item.path_is_regex, mount)
        for excluded in item.excluded:
            _pattern("excludePaths", excluded, item.excluded_is_regex, mount)


class Selection:
    """What some white lists select. Used by one thread.

    A path is selected if, for one of the lists, the topmost of itself and the directories above it (the mount path
    among them) that the list names is there, and nothing from there down to the path is excluded.
    """

    def __init__(self, lists: Sequence[SelectionRule], mount: str) -> None:
        self._rules = [_Rule(item, mount) for item in lists]
        self._known: dict[bytes, tuple[bytes | bool | None, ...]] = {}

    @classmethod
    def of(cls, lists: Sequence[SelectionRule], mount: str) -> Selection | None:
        """Return the selection of some white lists; None where they select everything."""
        if not lists or any(not item.path and not any(item.excluded) for item in lists):
            return None
        return cls(lists, mount)

    def includes(self, path: bytes, directory: bool = False) -> bool:
        """Whether a path relative to the mount path is selected.

        Args:
            directory: whether a directory is there; white lists make no difference between that and a file.
        """
        return any(state is not None and state is not False for state in self._states(path, keep=False))

    def may_hold(self, path: bytes) -> bool:
        """Whether something below a directory may be selected, going by its path alone."""
        return any(
            state is not False and (state is not None or rule.may_begin_below(path))
            for rule, state in zip(self._rules, self._states(path, keep=True), strict=True)
        )

    def _states(self, path: bytes, *, keep: bool) -> tuple[bytes | bool | None, ...]:
        """Return for each rule where it begins to select: None if not yet, False if it excludes the path."""
        below = []
        states = self._known.get(path)
        while states is None and path:
            below.append(path)
            path = parent(path)
            states = self._known.get(path)
        if states is None:
            states = self._known[path] = tuple(rule.step(path, None) for rule in self._rules)
        for at in reversed(below):
            states = tuple(rule.step(at, state) for rule, state in zip(self._rules, states, strict=True))
            if keep or at is not below[0]:
                self._known[at] = states
        return states


class Part(Selection):
    """What a selection, or everything, holds of one path: itself and what lies below it."""

    def __init__(self, path: bytes, selection: Selection | None) -> None:
        self._path = path
        self._selection = selection

    def includes(self, path: bytes, directory: bool = False) -> bool:
        return self._covers(path) and (self._selection is None or self._selection.includes(path, directory))

    def may_hold(self, path: bytes) -> bool:
        on_the_way = not path or self._path.startswith(path + b"/")
        return (on_the_way or self._covers(path)) and (self._selection is None or self._selection.may_hold(path))

    def _covers(self, path: bytes) -> bool:
        return path == self._path or path.startswith(self._path + b"/")


class _Rule:
    """One white list, compiled."""

    def __init__(self, item: SelectionRule, mount: str) -> None:
        self._exact = None if item.path_is_regex else _plain(item.path)
        self._begins = _pattern("path", item.path, item.path_is_regex, mount)
        self._excludes = [
            _pattern("excludePaths", text, item.excluded_is_regex, mount) for text in item.excluded if text
        ]

    def step(self, path: bytes, above: bytes | bool | None) -> bytes | bool | None:
        """Return the state at a path from the state at the directory that holds it."""
        if above is False:
            return False
        if above is None:
            return path if self._begins(path) else None
        assert isinstance(above, bytes), "a rule that has begun knows where"
        below = path[len(above) + 1 :] if above else path
        return False if any(excludes(below) for excludes in self._excludes) else above

    def may_begin_below(self, path: bytes) -> bool:
        return self._exact is None or not path or self._exact.startswith(path + b"/")


def _pattern(key: str, text: str, is_regex: bool, mount: str) -> Callable[[bytes], bool]:
    """Return the test for a whole path; a regular expression that has slashes may have one before the path."""
    name = f"Policy.bwList.whiteLists.{key}"
    if mount != "/" and is_within(text.lstrip("^").rstrip("/"), mount):
        raise malformed(
            name,
            text,
            f"relative to the mount path {mount!r}; for a directory of that very name inside it, leave out the first /",
        )
    if is_regex:
        matches = _compiled(name, text)
        if "/" not in text:
            return lambda path: matches(path.decode("utf-8", "replace"))
        return lambda path: matches(shown := path.decode("utf-8", "replace")) or matches(f"/{shown}")
    if _WILDCARD.search(text):
        raise malformed(name, text, "an exact path, without * ? [ ]; a regular expression is marked as one")
    if ".." in re.split(r"[/\\]", text):
        raise malformed(name, text, 'a path without ".."')
    exact = _plain(text)
    return lambda path: path == exact


def _plain(text: str) -> bytes:
    return "/".join(part for part in text.split("/") if part not in ("", ".")).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)
def _compiled(name: str, text: str) -> Callable[[str], bool]:
    if len(text) > MAX_PATTERN:
        raise malformed(name, text, f"a regular expression of at most {MAX_PATTERN} characters")
    try:
        import re2  # type: ignore[import-untyped]  # it has no annotations
    except ImportError as error:
        raise ServiceError(
            "UnsupportedPolicy",
            f"the parameter {name} is {text!r}: regular expressions need google-re2: pip install ctxmgr[local]",
        ) from error
    options = re2.Options()
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    options.dot_nl = True
    try:
        expression = re2.compile(text, options)
    except re2.error as error:
        problem = error.args[0] if error.args else error
        said = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem
        raise malformed(name, text, f"a regular expression of RE2's syntax ({said})") from None
    return lambda path: expression.fullmatch(path) is not None
