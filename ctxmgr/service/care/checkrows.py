"""The rows of the catalog as a check compares them with each other: contexts, revisions, files and chunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, select

from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, LINK, Entry, show
from ctxmgr.service.catalog.insertion import batches
from ctxmgr.service.catalog.revisions import digests_of, seal_of
from ctxmgr.service.catalog.schema import chunks, contexts, files, revisions

from .references import streamed
from .report import Affected, Report

__all__ = ["check_rows"]

_DIGEST: Final = 32
_KINDS: Final = frozenset((FILE, DIRECTORY, LINK))


def check_rows(connection: Connection, report: Report) -> None:
    """Check that rows agree, and name the versions of files whose content is lost.

    Args:
        connection: a transaction that sees one state.
        report: has the chunks that can't be read; gets what is wrong.
    """
    found = connection.execute(select(contexts)).all()
    by_account: dict[str, list[Any]] = defaultdict(list)
    for context in found:
        by_account[context.account].append(context)
    for account, owned in by_account.items():
        bad = {chunk.digest for chunk in report.bad if chunk.account == account}
        for context in owned:
            made = _check_revisions(connection, context, report)
            for rows in batches(streamed(connection, select(files).where(files.c.context_id == context.id))):
                lengths = _lengths(connection, account, rows)
                for row in rows:
                    report.files += row.kind == FILE
                    for problem in _problems(row, context, made):
                        report.add("file", f"{show(row.path)} in the context {context.name!r}", problem)
                    _check_content(row, context, lengths, bad, report)
    ids = select(contexts.c.id)
    for name, table in (("files", files), ("revisions", revisions)):
        strange = select(table.c.context_id).where(table.c.context_id.not_in(ids)).distinct()
        for context_id in connection.execute(strange).scalars():
            report.add("context", context_id, f"there are {name} of it, and no context of that id")


def _lengths(connection: Connection, account: str, rows: Iterable[Any]) -> dict[bytes, int]:
    """Return the lengths of the chunks that some files refer to, by digest, of those that are stored."""
    found: dict[bytes, int] = {}
    for batch in batches({digest for row in rows for digest in digests_of(row.chunks)}):
        own = select(chunks.c.digest, chunks.c.length).where(chunks.c.account == account, chunks.c.digest.in_(batch))
        found.update({row.digest: row.length for row in connection.execute(own)})
    return found


def _check_revisions(connection: Connection, context: Any, report: Report) -> set[int]:
    """Return the numbers of a context's revisions, pruned ones too."""
    columns = (revisions.c.number, revisions.c.pruned_ms)
    rows = connection.execute(select(*columns).where(revisions.c.context_id == context.id)).all()
    report.revisions += sum(row.pruned_ms is None for row in rows)
    for row in rows:
        if not 1 <= row.number <= context.head:
            report.add("revision", f"{row.number} of the context {context.name!r}", f"the head is {context.head}")
    if context.head and all(row.number != context.head or row.pruned_ms is not None for row in rows):
        report.add("context", context.name, f"its head is revision {context.head}, and there is no such revision")
    return {row.number for row in rows}


def _problems(row: Any, context: Any, made: set[int]) -> Iterator[str]:
    if row.rev_from not in made:
        yield f"it came with revision {row.rev_from}, and there is no such revision"
    if row.rev_to is not None and not row.rev_from < row.rev_to <= context.head:
        yield f"it came with revision {row.rev_from} and ended with {row.rev_to}, and the head is {context.head}"
    if row.kind not in _KINDS:
        yield f"it is a {row.kind!r}, and should be one of {', '.join(sorted(_KINDS))}"
    if not row.path.startswith(b"/"):
        yield "its path is not absolute"
    if not 0 <= row.mode <= 0o7777:
        yield f"its mode is {row.mode:o}"
    entry = Entry(row.kind, row.mode, row.mtime_ns, row.size, row.digest, digests_of(row.chunks), row.target)
    if row.seal is not None and row.seal != seal_of(row.path, entry):
        yield f"its row at revision {row.rev_from} is not what was written"
    if len(row.digest) != (_DIGEST if row.kind == FILE else 0) or len(row.chunks) % _DIGEST:
        yield "its digests have the wrong length"


def _check_content(row: Any, context: Any, lengths: dict[bytes, int], bad: set[bytes], report: Report) -> None:
    wanted = digests_of(row.chunks)
    missing = [digest for digest in wanted if digest not in lengths]
    if missing or not bad.isdisjoint(wanted):
        last = 0 if row.rev_to is None else row.rev_to - 1
        report.affect(Affected(context.id, context.name, row.path, row.rev_from, last))
    name = f"{show(row.path)} in the context {context.name!r}"
    if missing:
        problem = f"{len(missing)} of its {len(wanted)} chunks are not stored, {missing[0].hex()} among them"
        report.add("file", name, f"at revision {row.rev_from}: {problem}")
    elif (size := sum(lengths[digest] for digest in wanted)) != row.size:
        report.add("file", name, f"at revision {row.rev_from}: it has {row.size} bytes, and its chunks have {size}")
    elif len(wanted) == 1 and wanted[0] != row.digest:
        report.add("file", name, f"at revision {row.rev_from}: its digest is not that of its only chunk")
