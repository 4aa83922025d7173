"""The command line as a whole: it imports a command when that is the one to run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

import ctxmgr

from .commands import COMMANDS, load
from .exit import run
from .options import help_unless_told, places

__all__ = ["command", "run_command"]


class _Commands(click.Group):
    """The group of all commands, which know but their name and one line until one is to run.

    However it is called, it ends as ``exit`` has it.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None else found, rest

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


@click.group(
    cls=_Commands,
    name="ctxmgr",
    commands={name: click.Command(name, help=text) for name, text in COMMANDS.items()},
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
    help_unless_told(ctx)
