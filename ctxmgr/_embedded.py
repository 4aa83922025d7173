"""The context service in this process: where it keeps its data, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from .service import ContextService

__all__ = ["data_folder", "open_service"]


def data_folder(named: str | PathLike[str] | None = None) -> str:
    """Return the path of the data folder: the one that is named, ``CTXMGR_HOME``, or the user's own.

    Programs and the command share this rule, and so see the same contexts.

    Raises:
        ConfigError: the name is empty.
        ImportError: the extra that brings the service is not installed; the text says which.
    """
    if named is not None:
        return _named(named, "the name of the data folder")
    if "CTXMGR_HOME" in os.environ:
        return _named(os.environ["CTXMGR_HOME"], "CTXMGR_HOME")
    with _extra_needed():
        from platformdirs import user_data_dir

        return user_data_dir("ctxmgr", appauthor=False)


def open_service(folder: str | PathLike[str]) -> ContextService:
    """Open the context service that keeps its data in a folder.

    Raises:
        ImportError: the extra that brings the service is not installed; the text says which.
        DataFolderError: the folder can't be used.
    """
    with _extra_needed():
        from .service import ContextService

        return ContextService.open(folder)


def _named(folder: str | PathLike[str], said: str) -> str:
    if os.fspath(folder) == "":
        raise ConfigError(f"{said} is empty: name a folder, or leave it out for the user's own data folder")
    return os.path.expanduser(folder)


@contextmanager
def _extra_needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("ctxmgr"):
            raise
        text = f"the embedded service needs {error.name}: pip install 'ctxmgr[local]'"
        raise ImportError(text, name=error.name) from error
