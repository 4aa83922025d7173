"""What a runtime does by itself now and then: it removes what is left behind, recycles files, and prunes."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from ctxmgr.engine.archives.cache import ArchiveCache
from ctxmgr.service.care.care import Care
from ctxmgr.service.care.turns import alone
from ctxmgr.service.catalog import lifecycle
from ctxmgr.service.catalog.clock import now_ms
from ctxmgr.service.catalog.retries import Retries

from .cleanup import Cleanup
from .places import Places
from .sweeper import Sweeper

__all__ = ["Upkeep"]

SECONDS_WITHOUT_CARE = 600.0
"""A process that ends sooner is a command, and leaves it to services to prune what is stored."""


class Upkeep:
    """The upkeep of a data folder by one process.

    Attributes:
        archives: what is known of archives.
        cleanup: removes what ended sessions leave behind.
        sweeper: recycles files whose time is over.
        caretaker: prunes what is stored.
    """

    def __init__(self, places: Places, care: Care, *, serves: bool) -> None:
        """Begin with nothing to do.

        Args:
            places, care: what to keep up.
            serves: this process is a service, and not one of which nobody knows how long it stays.
        """
        self.archives = ArchiveCache(places.folder.archives)
        self.cleanup = Cleanup(places.catalog, places.folder, places.home)
        self.caretaker = Sweeper(care.run_if_due, "prune what is stored")
        self.sweeper = Sweeper(
            partial(_sweep, places, Retries("recycle files of the context {} whose time is over")),
            "recycle files whose time is over",
        )
        self._catalog = places.catalog
        self._serves = serves
        self._begun = time.monotonic()

    def run(self) -> None:
        """Remove what is left behind, and begin whatever else there is to do."""
        self.cleanup.run()
        self.archives.forget_old()
        with self._catalog.read() as connection:
            if lifecycle.has_rules(connection):
                self.sweeper.begin()
        if self._serves or time.monotonic() - self._begun > SECONDS_WITHOUT_CARE:
            self.caretaker.begin()

    def stop(self) -> None:
        """Do no more, and wait a moment for what is under way."""
        self.sweeper.stop()
        self.caretaker.stop()


def _sweep(places: Places, retries: Retries) -> None:
    with suppress(TimeoutError), alone(places.catalog, places.folder.locks, "recycle"):
        lifecycle.sweep(places.catalog, now_ms(), retries)
