"""The options that several commands share, and what is refused of any option."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from .output import Invocation

__all__ = ["answering", "data_option", "graceful", "help_unless_told", "keeping_options", "named", "places", "telling"]

_F = TypeVar("_F", bound=Callable[..., object])
_Text = TypeVar("_Text", str, None)


def named(ctx: click.Context, parameter: click.Parameter, value: _Text) -> _Text:
    """Refuse an empty value: it is a variable that was not set, and would mean something else than was meant."""
    if value == "":
        raise click.BadParameter("it is empty", ctx, parameter)
    return value


def help_unless_told(ctx: click.Context) -> None:
    """Show a group's help where no command is given; nothing was done, so that is no success."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def data_option(function: _F) -> _F:
    """Add the option that names the data folder."""
    return click.option(
        "--data",
        metavar="FOLDER",
        type=click.Path(readable=False),
        expose_value=False,
        callback=_noted,
        help="Where everything is kept [CTXMGR_HOME; default: the user's data folder].",
    )(function)


def graceful(function: _F) -> _F:
    """Add the option that says how long what runs may take at the end."""
    return click.option(
        "--grace",
        metavar="SECONDS",
        type=click.FloatRange(0, 3600),
        default=30.0,
        show_default=True,
        help="How long running syncs may take to finish after the first SIGTERM or SIGINT; "
        "the second one ends at once.",
    )(function)


def keeping_options(function: _F) -> _F:
    """Add the options that say where a service keeps what it keeps."""
    catalog = click.option(
        "--catalog",
        metavar="URL",
        expose_value=False,
        callback=_noted,
        help="Keep the catalog in PostgreSQL, as in postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, where other "
        "services may share it [CTXMGR_CATALOG].",
    )
    store = click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=_noted,
        help="Keep the content in an object store, as in s3://BUCKET/PREFIX [CTXMGR_STORE]; the usual AWS variables "
        "say how to reach it.",
    )
    return data_option(catalog(store(function)))


def places(function: _F) -> _F:
    """Add the options that say where the contexts are."""
    endpoint = click.option(
        "--endpoint",
        metavar="URL",
        expose_value=False,
        callback=_noted,
        help="Use a server instead [CTXMGR_ENDPOINT]; its key is taken from CTXMGR_API_KEY.",
    )
    return data_option(endpoint(function))


def answering(function: _F) -> _F:
    """Add the option of every command that answers."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_noted,
        help="Answer with one JSON object, also on failure.",
    )(function)


def telling(function: _F) -> _F:
    """Add the options that say how much is told."""
    quiet = click.option(
        "--quiet", "-q", is_flag=True, expose_value=False, callback=_noted, help="Tell of nothing but a failure."
    )
    verbose = click.option(
        "--verbose",
        "-v",
        is_flag=True,
        expose_value=False,
        callback=_noted,
        help="Tell the progress in lines, and lists in full.",
    )
    return quiet(verbose(function))


def _noted(ctx: click.Context, parameter: click.Parameter, value: str | bool | None) -> None:
    """Note an option that stands before or after the command's name; the later one counts."""
    if value is None or value is False:
        return
    if isinstance(value, str):
        named(ctx, parameter, value)
    assert parameter.name is not None, "an option has a name"
    invocation = ctx.ensure_object(Invocation)
    setattr(invocation, parameter.name, value)
    if invocation.quiet and invocation.verbose:
        raise click.UsageError("--quiet and --verbose contradict each other: give one")
