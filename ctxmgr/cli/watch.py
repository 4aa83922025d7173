"""The watch over a directory: its hints say when to look for changes, and are never evidence that there are none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator

__all__ = ["Watch"]

_QUIET_MS = 500
_LONGEST_MS = 5_000
_LOOK_MS = 1_000
_BETWEEN_SCANS = 300.0
_BETWEEN_ATTEMPTS = 5.0


class Watch:
    """Watches a directory on a thread of its own, again and again if that fails."""

    def __init__(self, directory: str, changed: Callable[[], object], failed: Callable[[str], object]) -> None:
        """Begin to watch.

        Args:
            changed: called when the directory is to be looked through: after changes, once they have been quiet for
                half a second or have gone on for five; every few minutes; and when changes may have been missed.
            failed: called with why the directory can't be watched.
        """
        self._directory = directory
        self._changed = changed
        self._failed = failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ctxmgr-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Call nothing any more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look_on()
            except Exception as error:
                self._failed(str(error))
            self._stop.wait(_BETWEEN_ATTEMPTS)

    def _look_on(self) -> None:
        last = None
        for has_changes in changes_in(self._directory, self._stop):
            # The first time it has just begun to watch: nobody knows what happened before.
            if has_changes or last is None or time.monotonic() - last > _BETWEEN_SCANS:
                last = time.monotonic()
                self._changed()


def changes_in(directory: str, stop: threading.Event) -> Iterator[bool]:
    """Go through what happens in a directory: whether there are changes, told at least once a second or so."""
    from watchfiles import watch

    if not os.path.isdir(directory):
        raise NotADirectoryError(f"{directory} is not there")
    watched = watch(
        directory,
        watch_filter=None,
        debounce=_LONGEST_MS,
        step=_QUIET_MS,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
    )
    for changes in watched:
        yield bool(changes) and _any_counts(directory, {path for _, path in changes})
        if not os.path.isdir(directory):
            raise NotADirectoryError(f"{directory} is not there any more")


def _any_counts(directory: str, changed: Collection[str]) -> bool:
    """Whether a sync would look at one of the paths that have changed: no ignore file leaves it out."""
    from ctxmgr.engine.manifest.entries import is_temporary
    from ctxmgr.engine.manifest.errors import WorkspaceError
    from ctxmgr.engine.policy.ignore import IGNORE_FILE, Ignores

    top = os.fsencode(directory)
    ignores, seen = Ignores(), set()
    for name in changed:
        path = os.path.relpath(os.fsencode(name), top)
        if is_temporary(path):
            continue
        above = b""
        for part in (b"", *path.split(b"/")[:-1]):
            above = os.path.join(above, part)
            if above in seen:
                continue
            seen.add(above)
            ignore_file = os.path.join(top, above, IGNORE_FILE)
            if not os.path.isfile(ignore_file):
                continue  # opening a FIFO would take for ever
            try:
                with open(ignore_file, "rb") as file:
                    ignores.add(above, file.read())
            except OSError:
                continue
            except WorkspaceError:
                return True  # the sync says what is wrong with it
        if ignores.rule(path, os.path.isdir(os.path.join(top, path))) is None:
            return True
    return False
