"""Turns what a plan changes in a binding's view of a context into what changes in the context's rows."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ctxmgr.engine.archives.bundles import PACK_NAME
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, PACK, Entry, absolute, parent, tree_order
from ctxmgr.engine.manifest.merge import Change, within
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.policy.whitelist import Selection

from .projection import Origins, View

__all__ = ["RowChange", "back", "located", "place_of", "repacked"]

MakePack = Callable[[Mapping[bytes, Entry]], Entry]
"""Makes a pack of members by name, and gives its entry."""


@dataclass(frozen=True)
class RowChange:
    """What one revision changes in the rows of a context.

    Attributes:
        mount: the path in the context that the others are relative to.
        put: the entries it writes.
        drop: the paths it ends.
        current: those of the paths it is about that the context has.
        note: what it is, for people who read the history.
        workspace: names the upload, for the workspace that has in common with the context what it changes; "" for none.
    """

    mount: str
    put: Mapping[bytes, Entry]
    drop: list[bytes]
    current: Collection[bytes]
    note: str = ""
    workspace: str = ""


def located(change: Change, origins: Origins, *, note: str = "") -> RowChange:
    """Return where in the context a change of rows takes place, and what it is.

    With several origins, a new file goes where its directory is, and to the first of them if there is none.
    """
    ended = _with_cleared(change, origins)
    if len(origins.paths) == 1:
        return _about(origins.paths[0], change.put, ended, origins.rows[0].keys(), note)
    mounts = [os.fsencode(path) for path in origins.paths]

    def place(at: int, path: bytes) -> bytes:
        return absolute(mounts[at], path)[1:]

    chosen = {path: place_of(path, origins)[1:] for path in change.put}
    drop = [place(at, path) for path in ended for at in origins.holding(path)]
    drop += [path[1:] for path in origins.in_the_way] if change.put else []
    current = {place(at, path) for at, rows in enumerate(origins.rows) for path in rows}
    current |= {path[1:] for path in origins.in_the_way}
    entries = {chosen[path]: entry for path, entry in change.put.items()}
    return _about("/", entries, [path for path in drop if path not in entries], current, note)


def _about(
    mount: str, put: Mapping[bytes, Entry], drop: list[bytes], current: Collection[bytes], note: str
) -> RowChange:
    return RowChange(mount, put, drop, {path for path in (*put, *drop) if path in current}, note)


def place_of(path: bytes, origins: Origins) -> bytes:
    """Return the absolute path at which a context holds, or would hold, a path of a binding."""
    return absolute(os.fsencode(origins.paths[_origin_of(path, origins)]), path)


def back(change: Change, view: View) -> Change:
    """Return the change that takes another one back."""
    touched = [*change.put, *_with_cleared(change, view.origins)]
    return Change(
        {path: view.rows[path] for path in touched if path in view.rows},
        [path for path in touched if path not in view.rows],
    )


def repacked(change: Change, view: View, policy: BindingPolicy, selection: Selection | None, pack: MakePack) -> Change:
    """Return the change of rows for a change of files: packs made anew where one of their members changes.

    Args:
        change: what an upload changes.
        view: the context as the upload's binding shows it.
        policy: with archive mode, the files of the directories in which anything changes are packed.
        selection: what is outside it stays as it is, single or packed.
        pack: makes a pack.
    """
    if not policy.archive and not view.packed:
        return change

    def packable(path: bytes) -> bool:
        text = os.fsdecode(path)
        return policy.archive and not any(text.startswith(prefix) for prefix in policy.archive_excluded)

    put, drop = dict(change.put), {*change.drop, *_below_leaves(change.put, view.rows)}
    changed: dict[bytes, list[bytes]] = defaultdict(list)
    for path, entry in put.items():
        if entry.kind != DIRECTORY and packable(path):
            changed[parent(path)].append(path)
    folders = {*changed, *(parent(path) for path in (*put, *drop) if path in view.packed)}
    # Where a file takes a directory's place, all rows below it end, the packs among them.
    folders = {folder for folder in folders if folder not in put or put[folder].kind == DIRECTORY}
    packed, single, packs = _contents(view, folders)
    for folder in folders:
        before = packed[folder]
        members = {path: view.files[path] for path in before if path not in put and path not in drop}
        members |= {path: put.pop(path) for path in changed.get(folder, ())}
        drop |= members.keys()
        for path in single[folder]:
            # Its directory is packed anew anyway: what was uploaded singly before comes along.
            if (
                path not in members
                and path not in put
                and path not in drop
                and packable(path)
                and _selected(path, selection)
            ):
                members[path] = view.files[path]
                drop.add(path)
        drop.update(packs[folder])
        if members:
            name = packs[folder][0] if packs[folder] else _free_name(folder, view, change)
            start = len(folder) + 1 if folder else 0
            put[name] = pack({path[start:]: entry for path, entry in members.items()})
    return Change(put, sorted((path for path in drop if path in view.rows and path not in put), key=tree_order))


def _selected(path: bytes, selection: Selection | None) -> bool:
    return selection is None or selection.includes(path)


def _contents(
    view: View, folders: Collection[bytes]
) -> tuple[Mapping[bytes, list[bytes]], Mapping[bytes, list[bytes]], Mapping[bytes, list[bytes]]]:
    """Return for each folder its packed files, its single files and its packs."""
    packed: dict[bytes, list[bytes]] = defaultdict(list)
    single: dict[bytes, list[bytes]] = defaultdict(list)
    packs: dict[bytes, list[bytes]] = defaultdict(list)
    for path in view.packed:
        packed[parent(path)].append(path)
    for path, entry in view.rows.items():
        if entry.kind != DIRECTORY and (folder := parent(path)) in folders:
            (packs if entry.kind == FILE and entry.target == PACK else single)[folder].append(path)
    return packed, single, packs


def _free_name(folder: bytes, view: View, change: Change) -> bytes:
    prefix = folder + b"/" if folder else b""
    name, number = prefix + PACK_NAME, 1
    while name in view.rows or name in view.files or name in change.put:
        number += 1
        name = prefix + PACK_NAME.replace(b"-pack", b"-pack-%d" % number)
    return name


def _with_cleared(change: Change, origins: Origins) -> list[bytes]:
    """Return what a change drops, and with it all that lies below what it puts in a directory's place."""
    below = (path for rows in origins.rows for path in _below_leaves(change.put, rows))
    return list(dict.fromkeys((*change.drop, *(path for path in below if path not in change.put))))


def _below_leaves(put: Mapping[bytes, Entry], rows: Mapping[bytes, Entry]) -> list[bytes]:
    leaves = {
        path
        for path, entry in put.items()
        if entry.kind != DIRECTORY and (there := rows.get(path)) is not None and there.kind == DIRECTORY
    }
    return [path for path in rows if within(parent(path), leaves)] if leaves else []


def _origin_of(path: bytes, origins: Origins) -> int:
    while path:
        holding = origins.holding(path)
        if holding:
            return holding[0]
        path = parent(path)
    return 0
