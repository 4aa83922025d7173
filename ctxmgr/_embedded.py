"""What runs in this process, a context service or a node of one: where it keeps its data, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ConfigError

if TYPE_CHECKING:
    from .node.door import Connect
    from .node.node import Node
    from .service import ContextService
    from .service.catalog.repeats import Labels
    from .service.copying.content import Progress
    from .service.copying.copy import Copied

__all__ = [
    "Location",
    "copy_service",
    "data_folder",
    "located",
    "machine_id",
    "node_folder",
    "open_node",
    "open_service",
    "repeat_upload",
]

_SERVICE = "the embedded service needs {}: pip install 'ctxmgr[local]'"
_NODE = "keeping a directory of this machine needs {}: pip install 'ctxmgr[node]'"


class Location(NamedTuple):
    """Where an embedded service keeps what it keeps.

    Attributes:
        folder: the data folder.
        catalog: the URL of the database, which may hold a password; "" for the one in the folder.
        store: the URL of the object store; "" for files in the folder.
    """

    folder: str
    catalog: str = ""
    store: str = ""

    def __repr__(self) -> str:
        return f"<Location {self.folder!r}>"


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
    with _extra_needed(_SERVICE):
        from platformdirs import user_data_dir

        return user_data_dir("ctxmgr", appauthor=False)


def located(
    folder: str | PathLike[str] | None = None, catalog: str | None = None, store: str | None = None
) -> Location:
    """Return where an embedded service keeps what it keeps: what is named, or what the environment says.

    Raises:
        ConfigError: a name is empty.
        ImportError: as ``data_folder``.
    """
    return Location(
        data_folder(folder),
        _url(catalog, "the URL of the catalog", "CTXMGR_CATALOG"),
        _url(store, "the URL of the store", "CTXMGR_STORE"),
    )


def open_service(location: Location, **settings: Any) -> ContextService:
    """Open the context service that keeps its data at a place.

    Args:
        location: the place.
        settings: more, as for ``ContextService.open``.

    Raises:
        ImportError: the extra that brings the service is not installed; the text says which.
        DataFolderError: the place can't be used.
    """
    with _extra_needed(_SERVICE):
        from .service import ContextService

        return ContextService.open(location.folder, catalog=location.catalog, store=location.store, **settings)


def copy_service(source: Location, target: Location, observe: Callable[[Progress], None]) -> Copied:
    """Copy all that the service at a place keeps to another place, or go on with such a copy; see the service's.

    Raises:
        ImportError: as ``open_service``.
        DataFolderError: the copy is not complete.
    """
    with _extra_needed(_SERVICE):
        from .service.copying.copy import copy_service
        from .service.copying.ends import Place

        return copy_service(Place(*source), Place(*target), observe=observe)


def repeat_upload(location: Location, directory: str, name: str, labels: Labels) -> int | None:
    """Carry out an upload in which nothing has to be done, without a service: see ``service.tasks.repeat``.

    Args:
        location: where it is kept.
        directory: the real path of what is uploaded.
        name: the context's.
        labels: those of the session that is kept for both.

    Returns:
        the context's revision; None where it takes a service: then nothing is done.

    Raises:
        ImportError: as ``open_service``.
    """
    if location.catalog or location.store:
        return None
    with _extra_needed(_SERVICE):
        from .service.tasks.repeat import repeat_upload

        return repeat_upload(location.folder, directory, name, labels)


def _url(named: str | None, said: str, variable: str) -> str:
    url = os.environ.get(variable, "") if named is None else named
    if named == "":
        raise ConfigError(f"{said} is empty: give one, or leave it out to keep that in the data folder")
    return url


def open_node(connect: Connect) -> Node:
    """Make this process a node of a service elsewhere; it has no session yet.

    Args:
        connect: makes a way to the service.

    Raises:
        ImportError: the extra that brings the engine is not installed; the text says which.
        ServiceError: the service has no nodes (``Session.NoNodes``), or refuses this one.
        TransportError: the service can't be asked.
        DataFolderError: there is no place for what a node has to remember.
    """
    with _extra_needed(_NODE):
        from .node.node import Node

        return Node.open(connect, node_folder())


def node_folder() -> str:
    """Return the path of the folder for what this machine knows as a node of services elsewhere.

    Raises:
        ConfigError: as ``data_folder``.
    """
    from .engine.workspace.nodefolder import NODE_FOLDER

    return os.path.join(data_folder(), NODE_FOLDER)


def machine_id() -> str:
    """Return what tells this user's data folder on this machine from all others.

    Raises:
        DataFolderError: there is no place to remember it.
    """
    with _extra_needed(_NODE):
        from .node.folder import machine_id, made

        return machine_id(made(node_folder()))


def _named(folder: str | PathLike[str], said: str) -> str:
    if os.fspath(folder) == "":
        raise ConfigError(f"{said} is empty: name a folder, or leave it out for the user's own data folder")
    return os.path.expanduser(folder)


@contextmanager
def _extra_needed(text: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("ctxmgr"):
            raise
        text = "the embedded service needs {}: pip install 'ctxmgr[scale]'" if error.name == "psycopg" else text
        raise ImportError(text.format(error.name), name=error.name) from error
