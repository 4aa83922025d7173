"""Opens a context service in this process, or says which extra is missing."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .service import ContextService

__all__ = ["open_service"]


def open_service(folder: str | PathLike[str]) -> ContextService:
    """Open the context service that keeps its data in a folder.

    Raises:
        ImportError: the extra that brings the service is not installed; the text says which.
        DataFolderError: the folder can't be used.
    """
    try:
        from .service import ContextService

        return ContextService.open(folder)
    except ImportError as error:
        if error.name is None or error.name.startswith("ctxmgr"):
            raise
        text = f"the embedded service needs {error.name}: pip install 'ctxmgr[local]'"
        raise ImportError(text, name=error.name) from error
