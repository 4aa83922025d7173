"""Generates the twins of a package and its tests, in place or elsewhere, and tells whether those in place are fresh."""

from __future__ import annotations

import copy
import filecmp
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import unasync  # type: ignore[import-untyped]  # it has no types

from .changes import changes
from .edits import Edits
from .examples import conventions, docstrings
from .imports import rewrite_imports
from .inference import Inference
from .primitives import unmatched
from .problems import Problem, Refused
from .program import Module
from .project import load
from .refusals import refusals
from .rule import Rewrite, TwinRule
from .settings import PROJECT, Settings, find_root
from .waiting import Waits

__all__ = ["Twins", "check", "generate", "prepare"]


@dataclass(frozen=True)
class Folder:
    """One folder of generated files.

    Attributes:
        source, twin: folders below the root.
        rewrites: by the file's path below them.
        copied: files that go along unchanged.
        by_hand: files in the twin's folder that are written by hand.
    """

    source: str
    twin: str
    rewrites: dict[str, Rewrite]
    copied: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    def files(self) -> set[str]:
        """Give what belongs into the twin's folder."""
        return {*self.rewrites, *self.copied, *self.by_hand}


@dataclass(frozen=True)
class Twins:
    """Everything that was worked out, ready to be written."""

    root: Path
    settings: Settings
    folders: tuple[Folder, ...]

    def write(self, target: Path) -> list[Path]:
        """Write all twins below a folder and remove generated files that have no source any more."""
        written = []
        for folder in self.folders:
            written += self.write_folder(folder, self.root / folder.source, target / folder.twin)
        return written

    def write_package(self, target: Path) -> list[Path]:
        """Write only the package's twin, below a folder such as a build's."""
        package = self.folders[0]
        return self.write_folder(package, self.root / package.source, target / package.twin)

    def write_folder(self, folder: Folder, source: Path, target: Path) -> list[Path]:
        if not folder.rewrites:
            return []
        target.mkdir(parents=True, exist_ok=True)
        rule = TwinRule(source, target, {name: copy.deepcopy(r) for name, r in folder.rewrites.items()})
        unasync.unasync_files([str(source / name) for name in sorted(folder.rewrites)], [rule])
        for name in folder.copied:
            shutil.copyfile(source / name, target / name)
        for name in _present(target) - folder.files():
            (target / name).unlink()
        return [target / name for name in sorted((*folder.rewrites, *folder.copied))]


def prepare(root: Path | None = None, settings: Settings = PROJECT) -> Twins:
    """Work out the twins of a project.

    Raises:
        Refused: the source can't be twinned.
    """
    root = find_root() if root is None else root
    project = load(root, settings)
    documented = {module: list(docstrings(module)) for module in project.twinned}
    project.examples = [each.program for found in documented.values() for each in found if each.program is not None]
    project.conventions = conventions(project)
    inference = Inference(project)
    waits = Waits(project, inference)
    waits.solve()
    problems: list[Problem] = [*unmatched(project), *_unused(root, settings)]

    def changed(module: Module) -> Edits:
        problems.extend(refusals(module, project, inference, waits))
        edits = changes(module, project, inference, waits)
        problems.extend(rewrite_imports(module, project, edits))
        return edits

    rewrites: dict[str, Rewrite] = {}
    for module, found in documented.items():
        edits = changed(module)
        for docstring in found:
            problems.extend(docstring.problems)
            inner = Edits() if docstring.program is None else changed(docstring.program)
            docstring.rewrite(edits, inner, project)
        rewrites[module.path] = Rewrite(edits, module.path)
    if problems:
        raise Refused(problems)
    package = settings.package
    copied = tuple(name for name in package.copied if (root / package.source / name).is_file())
    folders = [
        Folder(
            package.source,
            package.twin,
            _below(package.source, rewrites),
            copied,
            (f"{package.primitives}.py",),
        )
    ]
    folders += [Folder(tree.source, tree.twin, _below(tree.source, rewrites)) for tree in settings.tests]
    return Twins(root, settings, tuple(folders))


def _unused(root: Path, settings: Settings) -> Iterator[Problem]:
    """Give the exceptions that except nothing."""
    for tree in settings.tests:
        for name in tree.one_sided:
            if not (root / tree.source / name).is_file():
                text = "listed as one-sided in twin/settings.py and not there; remove it from the list"
                yield Problem(f"{tree.source}/{name}", 1, text)


def generate(root: Path | None = None, settings: Settings = PROJECT, *, target: Path | None = None) -> list[Path]:
    """Generate the twins of a project, in place unless a target is given; give the files written.

    Raises:
        Refused: the source can't be twinned; nothing was written.
    """
    twins = prepare(root, settings)
    return twins.write(twins.root if target is None else target)


def check(root: Path | None = None, settings: Settings = PROJECT) -> list[str]:
    """Tell how the twins in place differ from what the source gives; nothing when they are fresh.

    Raises:
        Refused: the source can't be twinned.
    """
    twins = prepare(root, settings)
    with tempfile.TemporaryDirectory() as scratch:
        twins.write(Path(scratch))
        return [line for folder in twins.folders for line in _differences(twins.root, Path(scratch), folder)]


def _differences(root: Path, scratch: Path, folder: Folder) -> Iterator[str]:
    present, fresh = _present(root / folder.twin), _present(scratch / folder.twin)
    for name in sorted(present | fresh | set(folder.by_hand)):
        shown = f"{folder.twin}/{name}"
        if name in folder.by_hand:
            if name not in present:
                yield f"{shown}: missing; it is written by hand"
        elif name not in present:
            yield f"{shown}: missing"
        elif name not in fresh:
            yield f"{shown}: has no source"
        elif not filecmp.cmp(root / folder.twin / name, scratch / folder.twin / name, shallow=False):
            yield f"{shown}: differs"


def _present(folder: Path) -> set[str]:
    """Give the files of a folder that count: not what Python and its tools leave there."""
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file()
        and file.suffix not in (".pyc", ".pyo")
        and not any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(folder).parts)
    }


def _below(folder: str, rewrites: dict[str, Rewrite]) -> dict[str, Rewrite]:
    prefix = f"{folder}/"
    return {path[len(prefix) :]: rewrite for path, rewrite in rewrites.items() if path.startswith(prefix)}
