"""Work that one of all processes does at a time, whatever they share: a folder of one machine, or a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ctxmgr.engine.workspace.locks import lock_of
from ctxmgr.service.catalog.database import Catalog

__all__ = ["alone"]


@contextmanager
def alone(catalog: Catalog, locks: Path, what: str, timeout: float = 0) -> Iterator[None]:
    """Be the only one of all processes that use a catalog to do something.

    Args:
        catalog: what they share.
        locks: the folder of the locks of those on this machine.
        what: it is, by name.
        timeout: seconds to wait for another.

    Raises:
        TimeoutError: another does it.
        CatalogError: that can't be told.
    """
    with ExitStack() as held:
        if catalog.shared:
            held.enter_context(catalog.alone(what, timeout))
        else:
            held.enter_context(lock_of(locks / f"{what}.lock", timeout=timeout))
        yield
