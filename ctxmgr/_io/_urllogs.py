"""Keeps credentials and signed URLs out of urllib3's debug lines: who reads a log must get at neither."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator

from ctxmgr._forks import renewed_in_child

__all__ = ["keep_credentials_out_of_logs", "kept_out_of_logs"]

_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")


class _HideTargets(logging.Filter):
    """Takes the path and query of URLs out of messages, and leaves all other messages as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.renew()
        renewed_in_child(self)

    def renew(self) -> None:
        """Hide nothing yet; nor does a forked child."""
        self._guard = threading.Lock()
        self._targets: Counter[str] = Counter()

    def add(self, target: str, change: int) -> None:
        """Begin (1) or cease (-1) to hide a target; it is hidden until all who began have ceased."""
        with self._guard:
            self._targets[target] += change
            if not self._targets[target]:
                del self._targets[target]

    def filter(self, record: logging.LogRecord) -> bool:
        with self._guard:
            targets = list(self._targets)
        message = record.getMessage()
        hidden = message
        for target in targets:
            hidden = hidden.replace(target, "/…")
        if hidden != message:
            record.msg, record.args = hidden, ()
        return True


_hide = _HideTargets()


@contextlib.contextmanager
def kept_out_of_logs(target: str) -> Iterator[None]:
    """Hide a URL's path and query, as they are sent, in what urllib3 logs meanwhile."""
    _hide.add(target, 1)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_hide)
    try:
        yield
    finally:
        _hide.add(target, -1)


class _RedactCredential(logging.Filter):
    """Takes the credential out of the one URL that has to carry it."""

    def filter(self, record: logging.LogRecord) -> bool:
        if "Authorization=" in (message := record.getMessage()):
            head, _, rest = message.partition("Authorization=")
            end = min((rest.find(stop) for stop in '& "' if stop in rest), default=len(rest))
            record.msg, record.args = f"{head}Authorization=…{rest[end:]}", ()
        return True


_redact = _RedactCredential()


def keep_credentials_out_of_logs() -> None:
    """Redact urllib3's lines, which quote URLs. Called before the first URL that holds a credential."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_redact)
