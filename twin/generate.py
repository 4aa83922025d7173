"""Generates the twins of a package and its tests, in place or elsewhere, and finds those in place that are stale."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import unasync  # type: ignore[import-untyped]  # it has no types

from .changes import Changes, rewrite_imports
from .checker import NOTED, run
from .edits import Edits, TwinRule
from .examples import docstrings
from .oracle import Oracle
from .project import Module, Problem, Refused, load, read
from .refusals import refusals
from .settings import PROJECT, Folder, Settings, find_root
from .waiting import Waits

# What mypy remembers of what the twinned modules import; the modules themselves are always checked anew.
CACHE = find_root() / ".mypy_cache" / "generator"


@dataclass(frozen=True)
class Twins:
    """Everything that was worked out, ready to be written."""

    root: Path
    settings: Settings
    changes: dict[str, Edits]  # by the files' paths below the root
    noted: set[tuple[str, int]]  # path and line of what mypy finds worth a note in the source
    cache: Path | None

    def below(self, folder: Folder) -> dict[str, Edits]:
        """Return what changes in a folder's files, by their paths below it."""
        start = f"{folder.source}/"
        return {path.removeprefix(start): edits for path, edits in self.changes.items() if path.startswith(start)}

    def write(self, target: Path) -> list[Path]:
        """Write all twins below a folder, and remove generated files there that have no source any more."""
        written: list[Path] = []
        for folder in self.settings.folders:
            if changes := self.below(folder):
                source, twin = (self.root / folder.source).resolve(), target / folder.twin
                twin.mkdir(parents=True, exist_ok=True)
                rule = TwinRule(source, twin, changes, folder.source)
                unasync.unasync_files([str(source / name) for name in changes], [rule])
                copied = [file.name for file in source.glob("py.typed")]
                for name in copied:
                    shutil.copyfile(source / name, twin / name)
                for name in _generated(folder, target) - {*changes, *copied}:
                    (twin / name).unlink()
                written += [twin / name for name in (*changes, *copied)]
        return written


def prepare(root: Path, settings: Settings = PROJECT, *, tests: bool = True, cache: Path | None = CACHE) -> Twins:
    """Work out the twins of a project; raise `Refused` if that can't be."""
    project = load(root, settings, tests=tests)
    documented = {module: list(docstrings(module, project)) for module in project.twinned}
    programs = [each.program for found in documented.values() for each in found if each.program is not None]
    twinned = [*documented, *programs]
    oracle = Oracle(project, [*project.primitives, *twinned], cache and cache / "source")
    waits = Waits(oracle, project, twinned)
    problems = list(oracle.problems)

    def changed(module: Module) -> Edits:
        problems.extend(refusals(module, waits, project))
        edits = Changes(module, waits).collect()
        problems.extend(rewrite_imports(module, project, edits, oracle))
        return edits

    changes: dict[str, Edits] = {}
    for module, found in documented.items():
        changes[module.path] = changed(module)
        for docstring in found:
            problems.extend(docstring.problems)
            inner = changed(docstring.program) if docstring.program is not None else Edits()
            docstring.rewrite(changes[module.path], inner, project)
    for tree in settings.tests:
        for path in (f"{tree.source}/{name}" for name in tree.one_sided if not (root / tree.source / name).is_file()):
            problems.append(Problem(path, 1, "listed as one-sided in twin/settings.py and not there; remove it there"))
    if problems:
        raise Refused(problems)
    return Twins(root, settings, changes, oracle.noted, cache)


def generate(root: Path, settings: Settings = PROJECT, *, target: Path | None = None) -> list[Path]:
    """Generate the twins of a project, in place unless a target is given; return the files written."""
    return prepare(root, settings).write(root if target is None else target)


def prove(twins: Twins) -> list[Problem]:
    """Return what mypy's strict checks find in the generated package, in place, where a missing await shows.

    Each problem names the line of the source that its line was generated from.
    """
    folder = twins.settings.package
    try:
        modules = [read(twins.root / folder.twin / name, twins.root) for name in twins.below(folder)]
        _, found = run(twins.root, modules, twins.settings.unread, twins.cache and twins.cache / "twin", strict=True)
    except Refused as refused:  # what was generated is not even Python
        found = [(problem, "syntax") for problem in refused.problems]
    wrong = []
    for problem, code in found:
        source = folder.source + problem.path.removeprefix(folder.twin)
        if code != "unused-ignore" and (code not in NOTED or (source, problem.line) not in twins.noted):
            text = f"{problem.text} (generated from {source}:{problem.line})"
            wrong.append(Problem(problem.path, problem.line, text))
    return sorted(wrong)


def check(root: Path, settings: Settings = PROJECT) -> list[str]:
    """Return how the twins in place differ from what the source gives; nothing when they are fresh."""
    with tempfile.TemporaryDirectory() as fresh:
        generate(root, settings, target=Path(fresh))
        return [line for folder in settings.folders for line in _differences(folder, root, Path(fresh))]


def _differences(folder: Folder, root: Path, fresh: Path) -> Iterator[str]:
    here, there = _generated(folder, root), _generated(folder, fresh)
    for name in sorted(here | there):
        shown = f"{folder.twin}/{name}"
        if name not in here:
            yield f"{shown}: missing"
        elif name not in there:
            yield f"{shown}: has no source"
        elif not filecmp.cmp(root / shown, fresh / shown, shallow=False):
            yield f"{shown}: differs"


def _generated(folder: Folder, root: Path) -> set[str]:
    """Return the files of a twin that count: not those by hand, nor what Python and its tools leave there."""
    files = (file.relative_to(root / folder.twin) for file in (root / folder.twin).rglob("*") if file.is_file())
    counted = (file for file in files if file.suffix != ".pyc" and not any(map(file.match, folder.by_hand)))
    return {file.as_posix() for file in counted if not any(p.startswith((".", "__pycache__")) for p in file.parts)}
