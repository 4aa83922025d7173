"""The options of ``sync`` that make it other than the directory's ignore files and its context's past would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from ctxmgr.bounds import MAX_RATE
from ctxmgr.policies.choices import ConflictChoice

__all__ = ["choosing"]

_F = TypeVar("_F", bound=Callable[..., object])
_MOST = MAX_RATE >> 10


def choosing(function: _F) -> _F:
    """Add the options that say what a sync leaves out, who wins a conflict, how much it deletes, and how fast it is."""
    for option in (
        click.option(
            "--limit-download",
            metavar="KIB",
            type=click.IntRange(1, _MOST),
            help="KiB a second from the store.",
        ),
        click.option("--limit-upload", metavar="KIB", type=click.IntRange(1, _MOST), help="KiB a second to the store."),
        click.option(
            "--allow-mass-delete",
            "--allow-empty",
            is_flag=True,
            help="Also delete more than half of what is there, or all because DIR is empty.",
        ),
        click.option(
            "--conflict",
            type=click.Choice([choice.value for choice in ConflictChoice]),
            help="Who wins where both sides changed: ours is DIR, theirs the context.",
        ),
        click.option(
            "--exclude",
            "-x",
            metavar="PATTERN",
            multiple=True,
            help="Leave out what matches, in gitignore's syntax; beside what .ctxignore files say.",
        ),
    ):
        function = option(function)
    return function
