"""The directory that is synced: what it must be, and where it must lie, before anything is begun."""

from __future__ import annotations

import os
import stat

from ctxmgr._embedded import data_folder
from ctxmgr.oserrors import described

from .clients import is_server
from .output import Failure, Invocation, shown

__all__ = ["check_apart", "checked_directory", "checked_place", "made_directory"]


def checked_directory(path: str) -> str:
    """Return the real path of a directory that exists.

    Raises:
        Failure: it does not, or can't be used or read.
    """
    real = os.path.realpath(path)
    _check(path, real)
    try:
        os.scandir(real).close()
    except OSError as error:
        raise Failure(f"{shown(path)} can't be read: {described(error)}") from error
    return real


def checked_place(path: str) -> str:
    """Return the real path of a directory that exists or can be made.

    Raises:
        Failure: it can't: something else is there, or in the way.
    """
    real = os.path.realpath(path)
    above = real
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    _check(path, above)
    return real


def made_directory(path: str) -> str:
    """Return the real path of a directory, made with its parents if it does not exist.

    Raises:
        Failure: it can't be made, or something else is there.
    """
    real = checked_place(path)
    try:
        os.makedirs(real, exist_ok=True)
    except OSError as error:
        raise Failure(f"{shown(path)} can't be made: {described(error)}") from error
    return real


def check_apart(invocation: Invocation, directory: str) -> None:
    """Refuse to sync a directory with the data folder in it, or the other way round, before either is touched.

    With a server, that folder has what is to be remembered here of the directory.

    Raises:
        Failure: one lies in the other.
    """
    folder = os.path.realpath(data_folder(None if is_server(invocation) else invocation.data))
    if os.path.commonpath([folder, directory]) in (folder, directory):
        how = "in CTXMGR_HOME" if is_server(invocation) else "with --data"
        raise Failure(
            f"{shown(directory)} and the data folder {shown(folder)} lie one in the other: "
            f"name another data folder {how}, or another directory"
        )


def _check(named: str, path: str) -> None:
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        raise Failure(f"{shown(named)} does not exist: name the directory to upload") from None
    except OSError as error:
        raise Failure(f"{shown(named)} can't be used: {described(error)}") from None
    except ValueError as error:
        raise Failure(f"{shown(named)} can't be used: {error}") from None
    if not is_directory:
        what = "it is" if os.path.realpath(named) == path else f"{shown(path)} is"
        raise Failure(f"{shown(named)} can't be used: {what} not a directory")
