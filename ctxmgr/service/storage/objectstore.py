"""Object stores by URL: how one is opened, and the trial it must pass before content is entrusted to it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from blake3 import blake3
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import from_url

from ctxmgr.engine.manifest.errors import ContentError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["check_process", "open_store", "shown", "try_out"]

_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 60
_RETRY_SECONDS: Final = 30
_TRIALS: Final = "trials"
_TRUSTED_SECONDS: Final = 24 * 3600
_SETTINGS: Final = ("ENDPOINT_URL_S3", "ENDPOINT_URL", "REGION", "ACCESS_KEY_ID")
_RACERS: Final = 4
_process: int | None = None


def open_store(url: str, *, endpoint: str = "") -> ObjectStore:
    """Open a store such as ``s3://bucket/prefix`` or ``memory:///``; nothing is sent yet.

    Credentials, region and endpoint of S3 are what the usual AWS variables say.

    Args:
        endpoint: takes the place of the endpoint in the variables.

    Raises:
        ContentError: there can be no such store.
    """
    global _process
    _process = _process or os.getpid()
    check_process()
    scheme = url.partition("://")[0]
    try:
        if scheme != "s3":
            return from_url(url)
        endpoint = endpoint or _setting("ENDPOINT_URL_S3") or _setting("ENDPOINT_URL")
        return from_url(
            url,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_ANSWER_SECONDS),
            },
            retry_config={"retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )
    except (BaseError, ValueError) as error:
        raise ContentError(f"the store {shown(url)} can't be opened: {first_line(error)}") from error


def check_process() -> None:
    """Check that object stores work in this process: their threads do not survive a fork, and would never answer.

    Raises:
        ContentError: this process was forked from one that used them.
    """
    if _process not in (None, os.getpid()):
        raise ContentError(
            "this process was forked from one that uses an object store, and can't use any: start it anew"
        )


def shown(url: str) -> str:
    """Return a store's URL as it may be shown: without what may be a secret."""
    parts = urlsplit(url)
    return repr(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def first_line(error: BaseException) -> str:
    """Return what went wrong; an object store's error goes on with the source of the error and its backtrace."""
    return str(error).partition("\n")[0] or type(error).__name__


def try_out(store: ObjectStore, url: str, passed: Path | None = None) -> None:
    """Find out whether a store does what a service relies on, by objects of its own that are removed again.

    Args:
        store: the store.
        url: its URL.
        passed: the file where it is noted that the store has passed; then it is not tried again for a day.

    Raises:
        ContentError: it can't be used, or claims to have done what it has not done; the text says what.
    """
    check_process()
    if passed is not None and _is_noted(passed, url):
        return
    folder, name = f"{_TRIALS}/{secrets.token_hex(8)}", shown(url)
    try:
        with ThreadPoolExecutor(len(_TRIAL)) as trials:
            held = list(trials.map(lambda trial: trial[1](store, folder), _TRIAL))
    except (BaseError, OSError) as error:
        told = f"the store {name} can't be used: {first_line(error)}"
        if url.startswith("s3:") and "AWS_ACCESS_KEY_ID" not in os.environ:
            told += "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless this machine has a role at AWS"
        raise ContentError(told) from error
    finally:
        _remove(store, folder)
    if lacks := [what for (what, _), holds in zip(_TRIAL, held, strict=True) if not holds]:
        raise ContentError(f"the store {name} can't be trusted with content: it {' and '.join(lacks)}; use another")
    if passed is not None:
        with suppress(OSError):
            passed.write_text(_identity(url))


def _is_noted(passed: Path, url: str) -> bool:
    with suppress(OSError):
        return 0 <= time.time() - passed.stat().st_mtime < _TRUSTED_SECONDS and passed.read_text() == _identity(url)
    return False


def _identity(url: str) -> str:
    """Return what tells this store, as it is reached now, from others."""
    return blake3("\0".join([url, *map(_setting, _SETTINGS)]).encode()).hexdigest()


def _setting(name: str) -> str:
    return os.environ.get(f"AWS_{name}", "")


def _keeps_bytes(store: ObjectStore, folder: str) -> bool:
    content = secrets.token_bytes(4096)
    obstore.put(store, f"{folder}/content", content)
    whole = bytes(obstore.get(store, f"{folder}/content").bytes())
    return whole == content and obstore.head(store, f"{folder}/content")["size"] == len(content)


def _reads_ranges(store: ObjectStore, folder: str) -> bool:
    content = bytes(range(256))
    obstore.put(store, f"{folder}/ranges", content)
    found = obstore.get_ranges(store, f"{folder}/ranges", starts=[3, 200], ends=[7, 256])
    return [bytes(piece) for piece in found] == [content[3:7], content[200:256]]


def _replaces(store: ObjectStore, folder: str) -> bool:
    for content in (b"first", b"second"):
        obstore.put(store, f"{folder}/replaced", content)
    return bytes(obstore.get(store, f"{folder}/replaced").bytes()) == b"second"


def _lists(store: ObjectStore, folder: str) -> bool:
    names = {f"{folder}/listed/{number}" for number in range(3)}
    for name in names:
        obstore.put(store, name, b"x")
    return {item["path"] for batch in obstore.list(store, f"{folder}/listed") for item in batch} == names


def _misses(store: ObjectStore, folder: str) -> bool:
    obstore.put(store, f"{folder}/deleted", b"x")
    obstore.delete(store, f"{folder}/deleted")
    try:
        obstore.head(store, f"{folder}/deleted")
    except (NotFoundError, FileNotFoundError):
        return True
    return False


def _has_one_winner(store: ObjectStore, folder: str) -> bool:
    def race(number: int) -> bool:
        try:
            obstore.put(store, f"{folder}/raced", str(number).encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(_RACERS) as racers:
        won = [number for number, first in enumerate(racers.map(race, range(_RACERS))) if first]
    # Whoever has to send again because the answer was lost is refused by what it has made itself: then nobody has won.
    made = bytes(obstore.get(store, f"{folder}/raced").bytes())
    return len(won) <= 1 and made in [str(number).encode() for number in won or range(_RACERS)]


_TRIAL: Final[tuple[tuple[str, Callable[[ObjectStore, str], bool]], ...]] = (
    ("gives back other bytes than were stored", _keeps_bytes),
    ("gives other bytes than those of the range that is asked for", _reads_ranges),
    ("gives an object's old content after it was replaced", _replaces),
    ("does not list what was stored", _lists),
    ("shows an object that was deleted", _misses),
    (
        "ignores If-None-Match, so that several writers believe to have made the same object",
        _has_one_winner,
    ),
)


def _remove(store: ObjectStore, folder: str) -> None:
    try:
        for batch in obstore.list(store, folder):
            obstore.delete(store, [item["path"] for item in batch])
    except (BaseError, OSError):
        pass  # what is left of a trial is in nobody's way
