"""``ctxmgr sync``: bring a directory and a context to the same state, and say truthfully whether that is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from ctxmgr._embedded import located, repeat_upload
from ctxmgr.cli.clients import existing_client, find_context, is_server, open_client
from ctxmgr.cli.directories import check_apart, checked_directory, checked_place, made_directory
from ctxmgr.cli.exclusion import exclusion_facts, exclusion_lines
from ctxmgr.cli.exit import Interrupted
from ctxmgr.cli.options import answering, named, places, telling
from ctxmgr.cli.output import Failure, Invocation, note, quoted, shown
from ctxmgr.cli.progress import run_sync
from ctxmgr.cli.report import (
    conflict_lines,
    plan_facts,
    plan_lines,
    sync_facts,
    sync_line,
    tell_skipped,
    unchanged_line,
)
from ctxmgr.cli.sessions import MOUNT, embedded_labels, kept_session, session_of, temporary_session, turn_of
from ctxmgr.cli.syncoptions import choosing

if TYPE_CHECKING:
    from ctxmgr.arguments import SyncMode
    from ctxmgr.client import Client
    from ctxmgr.results import Context, ContextPlanResult, ContextSyncResult
    from ctxmgr.sessions import Session

__all__ = ["sync"]


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(readable=False), callback=named)
@click.option("--context", "-c", "name", metavar="NAME", required=True, help="The context to sync with.")
@click.option(
    "--mode",
    type=click.Choice(["upload", "download"]),
    default="upload",
    show_default=True,
    help="upload: to the context, which is made if there is none. download: to DIR, likewise.",
)
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--force", is_flag=True, help="Download also what DIR has changed; its versions go to history first.")
@choosing
@telling
@answering
@places
@click.pass_obj
def sync(
    invocation: Invocation,
    directory: str,
    name: str,
    mode: SyncMode,
    dry_run: bool,
    force: bool,
    exclude: tuple[str, ...],
    conflict: str | None,
    allow_mass_delete: bool,
    limit_upload: int | None,
    limit_download: int | None,
) -> None:
    """Bring DIR and a context to the same state.

    What changed on one side only is taken from there. What changed on both is taken from where the sync comes from,
    and the other version stays in the context's history: each such conflict is named, with how to get it. What a
    .ctxignore file in DIR excludes, in gitignore's syntax, is left alone on both sides. The exit status is 0 only if
    it is proven done.
    """
    if force and mode != "download":
        raise click.UsageError("--force goes with --mode download: an upload gives up nothing that DIR has")
    if force and conflict is not None:
        raise click.UsageError("--force has every conflict won by the context: leave out --conflict")
    # Known before it begins, so that a failure shows every key too.
    invocation.facts |= {
        "mode": mode,
        "context": name,
        "directory": os.path.realpath(directory),
        "revision": None,
        "files": 0,
        "deleted": 0,
        "bytes": 0,
        "nothing_to_sync": False,
        "skipped": [],
        "kept_local": 0,
        "conflicts": [],
        "conflicts_total": 0,
    }
    limit = limit_upload if mode == "upload" else limit_download
    asked = _Sync(
        invocation,
        directory,
        name,
        mode,
        {"discard_local": force, "exclude": exclude, "conflict": conflict, "allow_mass_delete": allow_mass_delete},
        None if limit is None else limit << 10,
    )
    if dry_run:
        asked.preview()
    elif mode == "upload":
        asked.upload()
    else:
        asked.download()


@dataclass(frozen=True)
class _Sync:
    """A sync as it was asked for.

    Attributes:
        path: the directory, as the user named it.
        name: the context's name; an upload makes the context if there is none.
        choices: further arguments of ``ContextManager.sync`` and ``plan``.
        rate: bytes a second that it moves at most; ``None`` for any.
    """

    invocation: Invocation
    path: str
    name: str
    mode: SyncMode
    choices: dict[str, Any]
    rate: int | None

    def upload(self) -> None:
        directory = checked_directory(self.path)
        check_apart(self.invocation, directory)
        revision = self._repeated(directory)
        if revision is not None:
            self.invocation.answer([unchanged_line(revision, self.name)], revision=revision, nothing_to_sync=True)
            return
        with open_client(self.invocation) as client:
            context = find_context(client, self.name) or client.contexts.create(self.name).context
            with turn_of(client, directory, context):
                result = self._run(client, kept_session(client, directory, context), context)
                client.close()  # before the next one has its turn
        self._answer(result)

    def _repeated(self, directory: str) -> int | None:
        """Carry out an upload in which nothing has to be done; return the revision, None where it takes a client."""
        if is_server(self.invocation) or self.rate is not None or any(self.choices.values()):
            return None
        here = partial(embedded_labels, directory)
        return repeat_upload(located(self.invocation.data), directory, self.name, here)

    def download(self) -> None:
        # Looked for before anything is made: neither a data folder nor the directory appear for nothing.
        with existing_client(self.invocation) as client:
            context = self._to_restore(client)
            assert client is not None, "a context was found, so there is where it was found"
            check_apart(self.invocation, os.path.realpath(self.path))
            directory = made_directory(self.path)
            with turn_of(client, directory, context):
                result = self._run(client, kept_session(client, directory, context), context)
                client.close()  # before the next one has its turn
        self._answer(result)

    def preview(self) -> None:
        """Answer with what it would do, and leave everything as it is."""
        self.invocation.facts["dry_run"] = True
        uploads = self.mode == "upload"
        directory = checked_directory(self.path) if uploads else checked_place(self.path)
        check_apart(self.invocation, directory)
        with existing_client(self.invocation) as client:
            context = find_context(client, self.name) if uploads else self._to_restore(client)
            is_new = client is None or context is None
            if client is None or context is None:
                plan = _plan_of_new(directory, self.name, self.choices)
            else:
                plan = self._plan(client, directory, context)
        if not self.invocation.json and not self.invocation.quiet:
            tell_skipped(plan.skipped)
        self.invocation.facts |= plan_facts(plan, is_new=is_new) | exclusion_facts(plan)
        self._check_refusal(plan.refusal)
        changes = plan_lines(plan, self.mode, self.name, is_new=is_new)
        self.invocation.answer([*exclusion_lines(plan, every=self.invocation.verbose), *changes])

    def _to_restore(self, client: Client | None) -> Context:
        """Return the context that is to be downloaded.

        Raises:
            Failure: there is none, so that there is nothing to restore.
        """
        context = find_context(client, self.name)
        if context is None:
            raise Failure(
                f"there is no context {quoted(self.name)} to restore {shown(self.path)} from: "
                "'ctxmgr context list' shows those there are, and an upload makes a new one"
            )
        return context

    def _run(self, client: Client, session: Session, context: Context) -> ContextSyncResult:
        choices = self.choices | {"limit_rate": self.rate}
        try:
            return run_sync(client, session, context, self.mode, self.invocation, choices)
        except Interrupted:
            # Told before the client is closed, which may take a moment.
            rest = "run it again to go on where it stopped"
            self.invocation.fail(f"interrupted before the {self.mode} was proven done; {rest}")
            raise

    def _answer(self, result: ContextSyncResult) -> None:
        self.invocation.facts |= sync_facts(result)
        conflicts = list(conflict_lines(self.invocation, self.name, result.conflicts, result.conflicts_total))
        if not result.success:
            if not self.invocation.json:
                # What a download kept before it failed may be gone from the directory.
                for line in conflicts:
                    note(line)
            self._check_refusal(result.error_message)
            # The tasks' own reasons, where there are any.
            reasons = [task.error_message for task in result.tasks if task.status == "Failed" and task.error_message]
            if reasons:
                raise Failure(f"the {self.mode} failed: {'; '.join(reasons)}")
            result.raise_for_error()
        if not self.invocation.json and not self.invocation.quiet:
            tell_skipped(result.skipped)
        self.invocation.answer([sync_line(result, self.mode, self.name), *conflicts])

    def _check_refusal(self, message: str) -> None:
        """Fail with what to do where the service refused to delete most of what is there.

        Raises:
            Failure: it did.
        """
        _, code, why = message.partition("[Sync.MassDelete] ")
        if code:
            # The result's own code comes first, and then that of each task.
            told = why.rpartition(code)[2].replace("sync again with allow_mass_delete=True", "give --allow-mass-delete")
            back = ", or --mode download to bring the files back" if self.mode == "upload" else ""
            raise Failure(f"{told} for {shown(self.path)}{back}")

    def _plan(self, client: Client, directory: str, context: Context) -> ContextPlanResult:
        # Of a server's session, another process may be the node.
        kept = None if is_server(self.invocation) else session_of(client, directory, context)
        if kept is not None and os.path.isdir(directory):
            return kept.context.plan(context.id, MOUNT, self.mode, **self.choices).raise_for_error()
        with _stand_in(directory) as place, temporary_session(client, place, context) as session:
            return session.context.plan(context.id, MOUNT, self.mode, **self.choices).raise_for_error()


def _plan_of_new(directory: str, name: str, choices: dict[str, Any]) -> ContextPlanResult:
    """Plan an upload to a context that does not exist, in a data folder that does not outlive it."""
    from ctxmgr.client import Client

    with (
        TemporaryDirectory(prefix="ctxmgr-", ignore_cleanup_errors=True) as folder,
        Client.local(folder) as client,
        temporary_session(client, directory, client.contexts.create(name).context) as session,
    ):
        return session.context.plan(mode="upload", **choices).raise_for_error()


@contextmanager
def _stand_in(directory: str) -> Iterator[str]:
    """Return the directory itself, or where it does not exist yet, an empty one in its place."""
    if os.path.isdir(directory):
        yield directory
        return
    with TemporaryDirectory(prefix="ctxmgr-") as empty:
        yield empty
