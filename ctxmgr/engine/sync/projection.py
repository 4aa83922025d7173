"""A context as one binding shows it: which files its workspace is compared with, and where each of them lies.

Between the rows of a context and the files of a workspace stand the binding's mapping (rows below several paths may
appear at one mount path), packs, which are never seen, and archives, which are unpacked where the policy says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ctxmgr.engine.archives.archives import Archives
from ctxmgr.engine.archives.unpacking import suffix_of
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, PACK, Entry, absolute, parent, show, tree_order
from ctxmgr.engine.manifest.errors import ArchiveError, ContentError
from ctxmgr.engine.policy.policy import BindingPolicy
from ctxmgr.engine.policy.whitelist import Selection

__all__ = ["Origins", "View", "view_of"]

_FOLDER = Entry(DIRECTORY, 0o755)


@dataclass(frozen=True)
class Origins:
    """What a context holds below the paths that appear at a mount path.

    Attributes:
        head: the revision that was read.
        paths: the paths in the context, the first one winning.
        rows: for each, what lies below it by relative path.
        in_the_way: files and links where a path above one of several origins has to be a directory.
    """

    head: int
    paths: tuple[str, ...]
    rows: tuple[dict[bytes, Entry], ...]
    in_the_way: tuple[bytes, ...] = ()

    def holding(self, path: bytes) -> list[int]:
        """Return those that hold a path."""
        return [at for at, rows in enumerate(self.rows) if path in rows]


@dataclass(frozen=True)
class View:
    """See the module. All paths are relative to the mount path.

    Attributes:
        origins: where the rows come from.
        rows: what the context holds, of several origins the first one's.
        files: what the workspace is compared with.
        packed: the pack that holds a file, by the file's path.
        unpacked: the archive that holds a path which the context itself does not.
        sources: the archives that are unpacked and do not stay in the workspace.
        skipped: archives that are not unpacked, or not all of them, and why.
    """

    origins: Origins
    rows: dict[bytes, Entry]
    files: dict[bytes, Entry]
    packed: dict[bytes, bytes] = field(default_factory=dict)
    unpacked: dict[bytes, bytes] = field(default_factory=dict)
    sources: set[bytes] = field(default_factory=set)
    skipped: list[tuple[bytes, str]] = field(default_factory=list)


def view_of(
    origins: Origins, policy: BindingPolicy, selection: Selection | None, archives: Archives, check: Callable[[], None]
) -> View:
    """Show a context as a binding does.

    Args:
        origins: what the context holds.
        policy: the binding's.
        selection: what its white lists select; archives outside them are not unpacked.
        archives: reads packs and archives.
        check: called often; what it raises stops the work.

    Raises:
        ContentError: a pack can't be read.
    """
    rows = origins.rows[0] if len(origins.rows) == 1 else _overlaid(origins.rows)
    packs = [path for path, entry in rows.items() if entry.target == PACK and entry.kind == FILE]
    if not packs and policy.extract is None:
        return View(origins, rows, rows)
    view = View(origins, rows, dict(rows))
    for path in packs:
        del view.files[path]
    for path in packs:
        folder = parent(path)
        try:
            members = archives.members(path, rows[path], check)
        except ArchiveError as error:
            raise ContentError(f"the pack {show(path)} can't be read: {error}") from error
        for name, entry in members.items():
            member = folder + b"/" + name if folder else name
            if view.files.setdefault(member, entry) is entry:
                view.packed[member] = path
    if policy.extract is not None:
        _unpack(view, policy, selection, archives, check)
    return view


def _overlaid(manifests: Iterable[dict[bytes, Entry]]) -> dict[bytes, Entry]:
    """Lay trees one over the other, the first on top; what would lie in a file of a higher one is not seen."""
    merged: dict[bytes, Entry] = {}
    for manifest in manifests:
        for path in sorted(manifest, key=tree_order):
            above = parent(path)
            if path not in merged and (not above or (above in merged and merged[above].kind == DIRECTORY)):
                merged[path] = manifest[path]
    return merged


def _unpack(
    view: View, policy: BindingPolicy, selection: Selection | None, archives: Archives, check: Callable[[], None]
) -> None:
    assert policy.extract is not None, "only a policy that says how unpacks"
    found: dict[bytes, Entry] = {}
    for path, entry in sorted(view.files.items()):
        suffix = suffix_of(path.rpartition(b"/")[2]) if entry.kind == FILE else b""
        if not suffix or (selection is not None and not selection.includes(path, False)):
            continue
        folder = parent(path) if policy.extract.current_folder else path[: -len(suffix)]
        try:
            members = archives.members(path, entry, check)
            there = view.files.get(folder) or found.get(folder)
            if folder and there is not None and there.kind != DIRECTORY:
                raise ArchiveError("a file has the name of the folder it would go to")
        except ArchiveError as error:
            view.skipped.append((path, f"is not unpacked: {error}"))
            continue
        placed = {absolute(folder, name)[0 if folder else 1 :]: member for name, member in members.items()}
        if folder:
            placed[folder] = _FOLDER
        clashing = _place(placed, path, view, found, selection)
        if clashing:
            view.skipped.append((path, f"is not unpacked as a whole: something else is in the place of {clashing}"))
        if policy.extract.delete_source:
            view.sources.add(path)
    view.files.update(found)


def _place(
    placed: dict[bytes, Entry],
    archive: bytes,
    view: View,
    found: dict[bytes, Entry],
    selection: Selection | None,
) -> str:
    """Add an archive's members to what is found; what the context itself holds there is newer, and stays.

    Returns:
        the members that don't fit what is there already, for people; empty if all do.
    """
    clashing = []
    for path in sorted(placed, key=tree_order):
        entry, above = placed[path], parent(path)
        if selection is not None and not selection.includes(path, entry.kind == DIRECTORY):
            continue
        there, holder = view.files.get(path), view.files.get(above) or found.get(above)
        if holder is not None and holder.kind != DIRECTORY:
            clashing.append(path)
        elif there is not None:
            if (there.kind == DIRECTORY) != (entry.kind == DIRECTORY):
                clashing.append(path)
        elif path not in found:
            found[path] = entry
            view.unpacked[path] = archive
        elif (found[path].kind, entry.kind) != (DIRECTORY, DIRECTORY):
            clashing.append(path)
    shown = ", ".join(repr(os.fsdecode(path)) for path in clashing[:3])
    return f"{shown} and {len(clashing) - 3} more" if len(clashing) > 3 else shown
