"""``ctxmgr serve``: the service over HTTP, until a signal ends it."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import click

from ctxmgr._embedded import located, open_service
from ctxmgr.cli.exit import Interrupted
from ctxmgr.cli.options import graceful, keeping_options, named
from ctxmgr.cli.output import Failure, Invocation, complain, quoted, shown

__all__ = ["serve"]

_FILES = 65_536
_ROOT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.*)", re.DOTALL)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The name or address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8700,
    show_default=True,
    help="The port to listen at; 0 takes a free one.",
)
@click.option(
    "--root",
    "roots",
    metavar="[ACCOUNT=]DIR",
    multiple=True,
    help="Let sessions of an account (default: local) work in DIR of this machine and below, for sandboxes that share "
    "its disk. Directories elsewhere need none of it: see 'ctxmgr attach'. Repeatable.",
)
@click.option("--tls-cert", metavar="FILE", type=click.Path(), help="Serve HTTPS with this certificate and its chain.")
@click.option("--tls-key", metavar="FILE", type=click.Path(), help="The key of that certificate.")
@click.option("--url", metavar="URL", default="", help="What clients call the server, if a proxy stands before it.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Syncs that run at the same time."
)
@graceful
@click.option(
    "--lease",
    metavar="SECONDS",
    type=click.FloatRange(0.5, 3600),
    default=30.0,
    show_default=True,
    help="After how long a process that keeps a directory elsewhere, and is not heard of, is taken for gone.",
)
@click.option(
    "--metrics-contexts",
    metavar="N",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    help="Tell in /metrics, by name, when each of at most N contexts was last uploaded to; those first for which that "
    "is the longest ago, within 30 days.",
)
@click.option(
    "--store-endpoint",
    metavar="URL",
    envvar="CTXMGR_STORE_ENDPOINT",
    callback=named,
    help="Where those processes reach the object store of --store, such as https://s3.eu-central-1.amazonaws.com: they "
    "send and fetch content there by presigned URLs [CTXMGR_STORE_ENDPOINT; default: all goes through the server].",
)
@keeping_options
@click.pass_obj
def serve(
    invocation: Invocation,
    *,
    host: str,
    port: int,
    roots: Sequence[str],
    tls_cert: str | None,
    tls_key: str | None,
    url: str,
    workers: int,
    grace: float,
    lease: float,
    metrics_contexts: int,
    store_endpoint: str | None,
) -> None:
    """Serve the contexts of the data folder over HTTP.

    With --catalog and --store they are kept elsewhere, where any number of servers share them.

    Prints the address when it is ready, and writes an access log to the standard error stream, as lines of JSON.
    Clients need a key: see 'ctxmgr key create'. The key in CTXMGR_API_KEY, if there is one, opens the account local
    too. /healthz and /metrics need none.
    """
    if invocation.endpoint is not None:
        raise click.UsageError("a server serves a data folder: give --data instead of --endpoint")
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together: give both, or neither")
    if url and not re.fullmatch(r"https?://[^/?#\s]+/?", url):
        raise click.UsageError(f"--url is {quoted(url)}: give a scheme, a host and maybe a port: https://host:port")
    permitted = _roots(roots)
    try:
        from ctxmgr.service.http import HttpServer
    except ImportError as error:
        if error.name is None or error.name.startswith("ctxmgr"):
            raise
        text = f"serving needs {error.name}: pip install 'ctxmgr[serve]'"
        raise ImportError(text, name=error.name) from error
    own_key = os.environ.get("CTXMGR_API_KEY", "")
    _allow_many_connections()
    location = located(invocation.data, invocation.catalog, invocation.store)
    service = open_service(
        location, workers=workers, roots=permitted, resume=True, lease=lease, store_endpoint=store_endpoint or ""
    )
    try:
        tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
        server = HttpServer(
            service, host=host, port=port, tls=tls, own_key=own_key, url=url, metrics_contexts=metrics_contexts
        )
        # Before anybody knows the address, and may end the server: the database's finalizers swallow what is raised.
        unusable = not own_key and all(key.revoked_ms is not None for key in service.keys.all())
        with server:
            _log_as_json()
            try:
                # Whoever reads the address may end the server at once, and that is a graceful end too.
                invocation.answer([server.address])
                if unusable:
                    complain("nobody can use this yet: 'ctxmgr key create NAME' makes a key")
                if tls is None and not url.startswith("https:") and not _is_loopback(host):
                    complain("warning: keys travel in the clear here: give --tls-cert and --tls-key, or use a proxy")
                server.wait()
            except Interrupted:
                pass  # what follows is the graceful end, and the next signal ends the process at once
            else:
                raise Failure(f"the server broke: {server.failure!r}")
    finally:
        service.close(grace)


def _roots(given: Sequence[str]) -> dict[str, list[str]]:
    permitted: dict[str, list[str]] = {}
    for text in given:
        named = _ROOT.fullmatch(text)
        account, directory = (named[1], named[2]) if named else ("local", text)
        if not os.path.isdir(directory):
            raise Failure(f"--root {shown(text)}: {shown(directory)} is not a directory")
        permitted.setdefault(account, []).append(os.path.realpath(directory))
    return permitted


def _allow_many_connections() -> None:
    """Raise the usual limit of 1024 open files: every client that waits holds a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_as_json() -> None:
    """Write what the service and its server log to the standard error stream, in place of what the command holds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in ("ctxmgr", "uvicorn.error"):
        logger = logging.getLogger(name)
        for other in list(logger.handlers):
            logger.removeHandler(other)
        logger.addHandler(handler)
        logger.propagate = False
    logging.getLogger("ctxmgr").setLevel(logging.WARNING)
    logging.getLogger("ctxmgr.access").setLevel(logging.INFO)


class _Lines(logging.Formatter):
    """Lines of JSON: those of the access log are some already."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "ctxmgr.access":
            return record.getMessage()
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
