"""The command line: its commands, arguments and options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

import ctxmgr
from ctxmgr.arguments import SyncMode

from .administration import key, serve
from .endings import run
from .invocation import Invocation
from .options import answering, named, places

__all__ = ["command", "run_command"]


class _Command(click.Group):
    """The group of all commands. However it is called, it ends as ``endings`` has it."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        sys.exit(run(lambda invocation: self.main(args, prog_name, complete_var, False, obj=invocation, **extra)))


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    return run(lambda invocation: command.main(arguments, "ctxmgr", standalone_mode=False, obj=invocation))


def _help_unless_told(ctx: click.Context) -> None:
    """Show a group's help where no command is given; nothing was done, so that is no success."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


@click.group(
    cls=_Command,
    name="ctxmgr",
    invoke_without_command=True,
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(ctxmgr.__version__, message="%(prog)s %(version)s", prog_name="ctxmgr")
@places
@click.pass_context
def command(ctx: click.Context) -> None:
    """Keep directories in contexts, which outlive the machine that works in them.

    \b
    ctxmgr sync ./workspace --context my-project
    ctxmgr sync ./elsewhere --context my-project --mode download
    """
    _help_unless_told(ctx)


@command.command()
@click.argument("directory", metavar="DIR", type=click.Path(readable=False), callback=named)
@click.option("--context", "-c", "name", metavar="NAME", required=True, help="The context to sync with.")
@click.option(
    "--mode",
    type=click.Choice(["upload", "download"]),
    default="upload",
    show_default=True,
    help="upload: to the context, which is made if there is none. download: to DIR, likewise.",
)
@click.option("--dry-run", "-n", is_flag=True, help="Tell what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Download also what DIR has changed; its versions go to history first.")
@click.option("--allow-empty", is_flag=True, help="Upload DIR though everything in it is gone.")
@answering
@places
@click.pass_obj
def sync(
    invocation: Invocation, directory: str, name: str, mode: SyncMode, dry_run: bool, force: bool, allow_empty: bool
) -> None:
    """Bring DIR and a context to the same state.

    What changed on one side only is taken from there. What changed on both is taken from where the sync comes from,
    and the other version stays in the context's history: each such conflict is named, with how to get it. The exit
    status is 0 only if it is proven done.
    """
    if force and mode != "download":
        raise click.UsageError("--force goes with --mode download: an upload gives up nothing that DIR has")
    if dry_run:
        from .previewing import preview as run_it
    else:
        from .syncing import sync as run_it
    run_it(invocation, directory, name, mode, allow_empty=allow_empty, force=force)


@command.command()
@click.argument("directory", metavar="DIR", type=click.Path(readable=False), callback=named)
@answering
@places
@click.pass_obj
def info(invocation: Invocation, directory: str) -> None:
    """Show the last uploads and downloads of DIR."""
    from .inspecting import info as run_it

    run_it(invocation, directory)


@command.group(invoke_without_command=True, subcommand_metavar="COMMAND ...")
@click.pass_context
def context(ctx: click.Context) -> None:
    """List, create, rename and delete contexts."""
    _help_unless_told(ctx)


@context.command("list")
@answering
@places
@click.pass_obj
def list_contexts(invocation: Invocation) -> None:
    """List all contexts by name, with the time each was last used."""
    from .contexts import list_contexts as run_it

    run_it(invocation)


@context.command()
@click.argument("name", metavar="NAME")
@answering
@places
@click.pass_obj
def create(invocation: Invocation, name: str) -> None:
    """Create an empty context."""
    from .contexts import create as run_it

    run_it(invocation, name)


@context.command()
@click.argument("old", metavar="NAME")
@click.argument("new", metavar="NEW-NAME")
@answering
@places
@click.pass_obj
def rename(invocation: Invocation, old: str, new: str) -> None:
    """Rename a context."""
    from .contexts import rename as run_it

    run_it(invocation, old, new)


@context.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@answering
@places
@click.pass_obj
def delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Delete a context and all it holds.

    The directories it was synced with stay as they are.
    """
    from .contexts import delete as run_it

    run_it(invocation, name, confirmed=yes)


@command.group(invoke_without_command=True, subcommand_metavar="COMMAND ...")
@click.pass_context
def file(ctx: click.Context) -> None:
    """Look at the files of a context, and fetch one."""
    _help_unless_told(ctx)


@file.command("list")
@click.argument("name", metavar="NAME")
@answering
@places
@click.pass_obj
def list_files(invocation: Invocation, name: str) -> None:
    """List everything in a context: bytes, time and path.

    What can't be shown in a path is escaped: \\n is a newline, \\xff a byte that is not UTF-8.
    """
    from .contexts import list_files as run_it

    run_it(invocation, name)


@file.command("get")
@click.argument("name", metavar="NAME")
@click.argument("path", metavar="PATH")
@click.argument("target", metavar="TARGET", type=click.Path(readable=False), callback=named)
@click.option("--revision", metavar="N", type=click.IntRange(min=1), help="As it was at that revision.")
@answering
@places
@click.pass_obj
def get_file(invocation: Invocation, name: str, path: str, target: str, revision: int | None) -> None:
    """Fetch one file of a context, PATH in it, to TARGET.

    A file that is TARGET already is replaced once the download is complete.
    """
    from .contexts import get_file as run_it

    run_it(invocation, name, path, target, revision)


command.add_command(serve)
command.add_command(key)
