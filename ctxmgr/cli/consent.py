"""The question that a command asks before it does what few would want to have done by mistake."""

from __future__ import annotations

import sys

import click

from .output import Failure, note

__all__ = ["ask", "check_can_ask"]


def check_can_ask(doing: str) -> None:
    """Check that there is somebody to ask, before anything is done.

    Args:
        doing: what asks first, such as ``deleting a context``.

    Raises:
        UsageError: there is no terminal.
    """
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        problem = f"{doing} asks first, and there is no terminal to ask on: give --yes"
        raise click.UsageError(problem, click.get_current_context(silent=True))


def ask(question: str, refused: str) -> None:
    """Ask whether that is meant.

    Args:
        refused: what to say where it is not.

    Raises:
        Failure: it is not.
    """
    try:
        meant = click.confirm(question, err=True)
    except click.Abort:
        # The end of the input, Ctrl-D: whoever was asked gave no answer.
        note("")
        meant = False
    if not meant:
        raise Failure(refused)
