"""Decides, without touching anything, what a sync has to change: three-way, path by path."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from .copies import copies_of
from .entries import DIRECTORY, Entry, Manifest, is_temporary, parent, same, tree_order

__all__ = ["Change", "Choice", "Mode", "Plan", "plan", "within"]

Mode = Literal["upload", "download"]
Choice = Literal["", "newest", "ours", "theirs", "keep-both", "fail"]
"""Who wins a conflict: the later time; the workspace; the context; or, as without a choice, the side that is synced
from, beside which the other version gets a copy; with ``fail`` whoever carries out the plan has to refuse it."""

_DECIDING = ("newest", "ours", "theirs", "keep-both")

# Stands in where a context holds a file but not its directory, as after an upload by URL.
_IMPLIED = Entry(DIRECTORY, 0o755)


@dataclass(frozen=True)
class Change:
    """What one revision changes in a context.

    Attributes:
        put: the entries it writes.
        drop: the paths it ends, in tree order.
    """

    put: dict[bytes, Entry] = field(default_factory=dict)
    drop: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What a sync has to change, and what is known of the workspace afterwards.

    Attributes:
        put: for an upload, the entries the context's new revision writes.
        drop: for an upload, the paths it ends, in tree order.
        write: for a download, the entries to make in the workspace.
        remove: for a download, the paths to remove from it, each after everything below it.
        losers: for a download, the local versions that go although the context never had them.
        keep: the revision that takes the losers into the context's history; the one after it takes it back.
        conflicts: the paths whose version on the losing side goes although it had changed there, in tree order; a
            version that differs in its time alone is none.
        upheld: those of the conflicts that the side to be changed has won: its version stays.
        copies: for a conflict whose loser gets a copy beside the winner, the copy's path.
        kept: for a download, the paths that stay other than the context has them, because only the workspace changed
            them, or because its version won.
        blocked: the paths a download can't write, because what is skipped in the workspace is in the way.
        unchanged: how many files and links were the same on both sides.
        base: what workspace and context have in common once the plan is carried out; for a path in which they still
            differ, what they last had in common.
    """

    put: dict[bytes, Entry] = field(default_factory=dict)
    drop: list[bytes] = field(default_factory=list)
    write: dict[bytes, Entry] = field(default_factory=dict)
    remove: list[bytes] = field(default_factory=list)
    losers: dict[bytes, Entry] = field(default_factory=dict)
    keep: Change = field(default_factory=Change)
    conflicts: list[bytes] = field(default_factory=list)
    upheld: frozenset[bytes] = frozenset()
    copies: dict[bytes, bytes] = field(default_factory=dict)
    kept: list[bytes] = field(default_factory=list)
    blocked: list[bytes] = field(default_factory=list)
    unchanged: int = 0
    base: dict[bytes, Entry] = field(default_factory=dict)


def plan(
    base: Manifest,
    local: Manifest,
    remote: Manifest,
    *,
    mode: Mode,
    delete: bool = True,
    discard: bool = False,
    skipped: Collection[bytes] = (),
    choice: Choice = "",
    stamp: str = "",
    uncopied: Collection[bytes] = (),
) -> Plan:
    """Decide what a sync has to change.

    A path that changed on one side only is taken from there, in the direction of the sync. A path that changed on both
    sides is taken from the workspace by an upload and from the context by a download, and is named as a conflict. Where
    one side has a file and the other something below it, that holds for the whole subtree; a directory in which either
    side keeps something stays.

    Args:
        base: what the workspace had at its last sync; empty for a new workspace, in which nothing counts as deleted.
        local: what the workspace has now.
        remote: what the context has now, below the same mount path.
        mode: ``"upload"`` changes the context only, ``"download"`` the workspace only.
        delete: whether an upload deletes in the context what was deleted in the workspace. A path that is now of
            another kind is replaced all the same.
        discard: whether a download makes the workspace what the context is, also where only the workspace changed.
        skipped: the paths in the workspace of which no version can be had, such as sockets; they are left alone.
        choice: who wins a conflict.
        stamp: what the names of copies say of their origin: a host's name and a time.
        uncopied: paths whose version in the context gets no copy.
    """
    hidden = _hidden(skipped)
    upload = mode == "upload"
    source, changing = (local, remote) if upload else (remote, local)
    winner = {"ours": local, "theirs": remote}.get(choice, source)

    target: dict[bytes, Entry] = {}
    differing = []
    unchanged = 0
    for path in local.keys() | remote.keys():
        there = remote.get(path)
        if there is not None and same(local.get(path), there):
            target[path] = there
            unchanged += there.kind != DIRECTORY
        else:
            differing.append(path)
    if not differing:
        return Plan(unchanged=unchanged, base=target)

    conflicts: set[bytes] = set()
    for path in differing:
        here, there, before = local.get(path), remote.get(path), base.get(path)
        chosen: Entry | None
        if hidden(path):
            chosen = changing.get(path)
        elif same(here, before) or (here is None and upload and not delete):
            chosen = there
        elif same(there, before):
            chosen = there if discard else here
            if discard and here is not None:
                conflicts.add(path)
        else:
            conflicts.add(path)
            chosen = _chosen(choice, winner.get(path), (remote if winner is local else local).get(path))
        if chosen is not None:
            target[path] = chosen

    _add_parents(target, source, changing)
    disputed = _with_something_below(target)
    if disputed:
        _take(target, disputed, winner, hidden)
        conflicts |= disputed
        conflicts |= {
            path for path, entry in changing.items() if within(path, disputed) and not same(entry, base.get(path))
        }
    blocked = [] if upload else _give_way(target, local, remote, skipped)

    put, gone = _difference(changing, target)
    conflicts = {path for path in conflicts if not _same_but_for_time(local.get(path), remote.get(path))}
    lost = {path for path in conflicts if path in put or path in gone}
    upheld = frozenset[bytes]()
    copies: dict[bytes, bytes] = {}
    out_of_reach = frozenset(blocked)
    if choice in _DECIDING:
        upheld = frozenset(path for path in conflicts - lost if not within(path, out_of_reach))
    if choice == "keep-both":
        copies = copies_of(lost.difference(uncopied), changing, target, local.keys() | remote.keys(), stamp)
        put |= {copy: changing[path] for path, copy in copies.items()}
        target |= {copy: changing[path] for path, copy in copies.items()}
    conflicts = lost | upheld
    after_local, after_remote = (local, target) if upload else (target, remote)
    common = _common(base, after_local, after_remote)
    told = sorted(conflicts, key=tree_order)
    if upload:
        return Plan(
            put=put,
            drop=sorted(gone, key=tree_order),
            conflicts=told,
            upheld=upheld,
            copies=copies,
            unchanged=unchanged,
            base=common,
        )
    losers = {path: local[path] for path in (*put, *gone) if path in local and not same(local[path], base.get(path))}
    kept = [
        path
        for path in differing
        if path not in out_of_reach and not hidden(path) and not same(target.get(path), remote.get(path))
    ]
    return Plan(
        write=put,
        remove=sorted(gone, key=tree_order, reverse=True),
        losers=losers,
        keep=_history(losers, local, remote),
        conflicts=told,
        upheld=upheld,
        copies=copies,
        kept=kept,
        blocked=blocked,
        unchanged=unchanged,
        base=common,
    )


def _chosen(choice: Choice, winner: Entry | None, loser: Entry | None) -> Entry | None:
    """Return the version that a conflict leaves under the path's own name."""
    if choice not in ("newest", "keep-both"):
        return winner
    if winner is None or loser is None:
        return winner or loser
    if choice == "keep-both" or DIRECTORY in (winner.kind, loser.kind):
        return winner
    return loser if loser.mtime_ns > winner.mtime_ns else winner


def _same_but_for_time(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return False
    return same(one, msgspec.structs.replace(other, mtime_ns=one.mtime_ns))


def _hidden(skipped: Collection[bytes]) -> Callable[[bytes], bool]:
    """Return the test for the paths that no sync touches: what is skipped, and names that are only ever temporary."""
    if not skipped:
        return is_temporary
    tops = frozenset(skipped)
    return lambda path: is_temporary(path) or within(path, tops)


def within(path: bytes, tops: Collection[bytes]) -> bool:
    """Whether a path is one of some, or lies below one of them."""
    while path:
        if path in tops:
            return True
        path = parent(path)
    return False


def _add_parents(target: dict[bytes, Entry], winner: Manifest, other: Manifest) -> None:
    """Bring back every directory that something in the target lies in."""
    for path in list(target):
        above = parent(path)
        while above and above not in target:
            target[above] = _directory(winner.get(above)) or _directory(other.get(above)) or _IMPLIED
            above = parent(above)


def _directory(entry: Entry | None) -> Entry | None:
    return entry if entry is not None and entry.kind == DIRECTORY else None


def _with_something_below(target: Manifest) -> set[bytes]:
    """Return the paths that are no directories and yet have something below them."""
    return {above for path in target if (above := parent(path)) and target[above].kind != DIRECTORY}


def _take(target: dict[bytes, Entry], tops: set[bytes], side: Manifest, hidden: Callable[[bytes], bool] | None) -> None:
    """Make the subtrees at the given paths what they are on one side."""
    for path in [path for path in target if within(path, tops)]:
        del target[path]
    for path, entry in side.items():
        if within(path, tops) and not (hidden is not None and hidden(path)):
            target[path] = entry


def _give_way(target: dict[bytes, Entry], local: Manifest, remote: Manifest, skipped: Collection[bytes]) -> list[bytes]:
    """Keep the directories that hold what is skipped in the workspace.

    Returns:
        The paths of the context that can't be written for that reason.
    """
    blocked: set[bytes] = set()
    for path in skipped:
        if path in remote:
            blocked.add(path)
        above = parent(path)
        holders = []
        while above:
            holders.append(above)
            above = parent(above)
        for holder in reversed(holders):
            entry = target.get(holder)
            if entry is None:
                target[holder] = local.get(holder, _IMPLIED)
            elif entry.kind != DIRECTORY:
                _take(target, {holder}, local, None)
                blocked.add(holder)
                break
    return sorted(blocked, key=tree_order)


def _difference(before: Manifest, after: Manifest) -> tuple[dict[bytes, Entry], set[bytes]]:
    put = {path: entry for path, entry in after.items() if not same(entry, before.get(path))}
    return put, before.keys() - after.keys()


def _common(base: Manifest, local: Manifest, remote: Manifest) -> dict[bytes, Entry]:
    """Return the next base: what both sides have, and for a path in which they differ, what was known before."""
    common: dict[bytes, Entry] = {}
    for path, entry in remote.items():
        known = entry if same(entry, local.get(path)) else base.get(path)
        if known is not None:
            common[path] = known
    for path in local.keys() - remote.keys():
        if path in base:
            common[path] = base[path]
    return common


def _history(losers: Mapping[bytes, Entry], local: Manifest, remote: Manifest) -> Change:
    """Return the revision that takes the losers into a context's history."""
    if not losers:
        return Change()
    put = dict(losers)
    for path in losers:
        above = parent(path)
        while above and above not in put and _directory(remote.get(above)) is None:
            put[above] = local.get(above, _IMPLIED)
            above = parent(above)
    leaves = {path for path, entry in losers.items() if entry.kind != DIRECTORY}
    drop = [path for path in remote if path not in put and within(parent(path), leaves)]
    return Change(put, sorted(drop, key=tree_order))
