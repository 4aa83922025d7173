"""A project's modules: which of them are twinned, what their twins are called, and what is wrong where."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from .settings import Settings

FunctionNode = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that can't be twinned, where it stands, and what to do."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Refused(Exception):
    """The source can't be twinned; nothing was written. ``problems`` has all there is, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(eq=False)
class Module:
    """A module's text and syntax tree. The examples of a docstring are one, too, whose lines start further down."""

    name: str
    path: str
    text: str
    role: Literal["twinned", "primitives", "test", "example", "shared"] = "shared"
    line_offset: int = 0
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)
        for node in ast.walk(self.tree):
            self.parents.update((child, node) for child in ast.iter_child_nodes(node))

    def above(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Yield each pair of a node and its parent on the way up."""
        while (parent := self.parents.get(node)) is not None:
            yield node, parent
            node = parent

    def problem(self, node: ast.AST, text: str) -> Problem:
        """Return a problem at a node's line of the source."""
        at = node.iter if isinstance(node, ast.comprehension) else node
        return Problem(self.path, getattr(at, "lineno", 1) + self.line_offset, text)

    def origin(self, node: ast.ImportFrom) -> str:
        """Return the absolute name of the module that an import names."""
        parts = self.name.split(".")
        kept = parts[: len(parts) - node.level + self.path.endswith("__init__.py")] if node.level else []
        return ".".join([*kept, *([node.module] if node.module else [])])

    def bound(self) -> set[str]:
        """Return the names that the module binds at its top level."""
        names: set[str] = set()
        nodes: list[ast.AST] = [self.tree]
        for node in nodes:
            if isinstance(node, (*FunctionNode, ast.ClassDef)):
                names.add(node.name)
                continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            nodes += ast.iter_child_nodes(node)
        return names


@dataclass(eq=False)
class Project:
    """The modules of a project by their names, and the hand-written primitives: blocking ones to those for asyncio."""

    root: Path
    settings: Settings
    modules: dict[str, Module]
    primitives: dict[Module, Module]

    def __post_init__(self) -> None:
        self.twinned = [module for module in self.modules.values() if module.role in ("twinned", "test")]

    def is_ours(self, name: str) -> bool:
        """Whether a module's name is one of this project."""
        return name.partition(".")[0] in {folder.source.partition("/")[0] for folder in self.settings.folders}

    def is_module(self, name: str) -> bool:
        """Whether a dotted name is a module of this project rather than something in one."""
        base = self.root.joinpath(*name.split("."))
        return base.is_dir() or base.with_name(f"{base.name}.py").is_file()

    def twin_name(self, name: str) -> str | None:
        """Return the name of a module's twin, None where it has none."""
        if name in self.modules and self.modules[name].role != "shared":
            for folder in self.settings.folders:
                source, twin = folder.source.replace("/", "."), folder.twin.replace("/", ".")
                if name == source or name.startswith(f"{source}."):
                    return twin + name[len(source) :]
        return None

    def twin_path(self, path: str) -> str:
        """Return the twin's spelling of ``package.module.name``; the path itself where that is shared."""
        parts = path.split(".")
        for length in range(len(parts), 0, -1):
            name, rest = ".".join(parts[:length]), parts[length:]
            if name in self.modules:
                twin = self.twin_name(name) if not rest or rest[0] in self.modules[name].bound() else None
                return ".".join([twin, *rest]) if twin else path
        return path


def load(root: Path, settings: Settings, *, tests: bool = True) -> Project:
    """Read a package and its tests; what reaches the primitives by imports is twinned."""
    package = settings.package
    ours, theirs = (_below(root / folder, root, *package.by_hand) for folder in (package.source, package.twin))
    both = ours.keys() & theirs.keys()
    odd = [name for name in ours.keys() ^ theirs.keys() if not fnmatch(name, "*/_[!_]*")]
    if odd or not both:
        text = f"{package.source} and {package.twin} must both have it, written by hand"
        raise Refused(Problem(f"{package.twin}/{name}", 1, text) for name in odd or package.by_hand[:1])
    modules = {m.name: m for m in (*_below(root / package.source, root, "*.py").values(), *ours.values())}
    imports = {m.name: set(_imports(m, modules)) for m in modules.values() if m.name not in settings.kept}
    reaching = primitives = {module.name for module in ours.values()}
    while more := {name for name, reached in imports.items() if reached & reaching} - reaching:
        reaching = reaching | more
    for name in reaching:
        modules[name].role = "primitives" if name in primitives else "twinned"
    for tree in settings.tests if tests else ():
        for name, module in _below(root / tree.source, root, "**/*.py").items():
            if name not in tree.one_sided:
                module.role = "test"
                modules[module.name] = module
    return Project(root, settings, modules, {ours[name]: theirs[name] for name in sorted(both)})


def _below(folder: Path, root: Path, *patterns: str) -> dict[str, Module]:
    files = sorted(file for pattern in patterns for file in folder.glob(pattern))
    return {file.relative_to(folder).as_posix(): read(file, root) for file in files}


def read(file: Path, root: Path) -> Module:
    """Return a file as a module of the project below a folder."""
    path = file.relative_to(root)
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path.as_posix(), file.read_text("utf-8"))


def _imports(module: Module, modules: dict[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            origin = module.origin(node)
            below = [name for alias in node.names if (name := f"{origin}.{alias.name}") in modules]
            yield from below if len(below) == len(node.names) else [*below, origin]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
