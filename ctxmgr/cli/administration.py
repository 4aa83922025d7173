"""``ctxmgr serve`` and ``ctxmgr key`` on the command line: what runs where the data folder is."""

from __future__ import annotations

from typing import Any

import click

from .invocation import Invocation
from .options import answering, data_option

__all__ = ["key", "serve"]


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
    help="Let sessions of an account (default: local) work in DIR and below. Without it they get directories of their "
    "own in the data folder. Repeatable.",
)
@click.option("--tls-cert", metavar="FILE", type=click.Path(), help="Serve HTTPS with this certificate and its chain.")
@click.option("--tls-key", metavar="FILE", type=click.Path(), help="The key of that certificate.")
@click.option("--url", metavar="URL", default="", help="What clients call the server, if a proxy stands before it.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Syncs that run at the same time."
)
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="How long running syncs may take to finish after the first SIGTERM or SIGINT; the second one ends at once.",
)
@data_option
@click.pass_obj
def serve(invocation: Invocation, /, **options: Any) -> None:
    """Serve the contexts of the data folder over HTTP.

    Prints the address when it is ready, and writes an access log to the standard error stream, as lines of JSON.
    Clients need a key: see 'ctxmgr key create'. The key in CTXMGR_API_KEY, if there is one, opens the account local
    too. /healthz and /metrics need none.
    """
    from .serving import serve as run_it

    run_it(invocation, **options)


@click.group(invoke_without_command=True)
@click.pass_context
def key(ctx: click.Context) -> None:
    """Create, list and revoke the keys of 'ctxmgr serve'.

    A key opens one account, and an account is what its keys share: its contexts and sessions are seen by nobody else.
    The account local is also what commands on the data folder itself work with.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@key.command()
@click.argument("name", metavar="NAME")
@click.option("--account", default="local", show_default=True, help="The account that the key opens.")
@answering
@data_option
@click.pass_obj
def create(invocation: Invocation, name: str, account: str) -> None:
    """Make a key, and show it this once. A server that runs takes it at once."""
    from .keys import create as run_it

    run_it(invocation, name, account)


@key.command("list")
@answering
@data_option
@click.pass_obj
def list_keys(invocation: Invocation) -> None:
    """List all keys by what is known of them, which is not the keys themselves."""
    from .keys import list_keys as run_it

    run_it(invocation)


@key.command()
@click.argument("which", metavar="NAME|ID")
@answering
@data_option
@click.pass_obj
def revoke(invocation: Invocation, which: str) -> None:
    """Make a key good for nothing, also for a server that runs."""
    from .keys import revoke as run_it

    run_it(invocation, which)
