"""The modules of a project and how they hang together: which are twinned, which shared, what the primitives do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .model import Type
from .program import Class, DefinedClass, DefinedFunction, Function, Imported, Module, Valued, dotted
from .settings import Settings
from .source import read

__all__ = ["AWAITABLES", "DUNDERS", "Counterpart", "Primitives", "Project", "load"]

# How the names of a class's protocol methods differ in the asyncio world.
DUNDERS = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
# What a plain function of the asyncio primitives may be annotated to return if its callers are to await it.
AWAITABLES = frozenset({"Waitable", "Awaitable", "Coroutine", "Future", "Task"})
_ASYNC_ITERATORS = frozenset({"AsyncIterator", "AsyncIterable", "AsyncGenerator"})

Kind = Literal["waits", "iterates", "plain", "value", "asyncio", "missing"]


@dataclass(frozen=True)
class Counterpart:
    """What stands in the asyncio primitives for one name of the blocking ones."""

    kind: Kind
    function: Function | None = None


class Primitives:
    """The two hand-written modules of primitives, side by side."""

    def __init__(self, blocking: Module, asynchronous: Module) -> None:
        self.blocking = blocking
        self.asynchronous = asynchronous

    def of_function(self, function: Function) -> Counterpart:
        """Tell what the asyncio counterpart of a blocking primitive does."""
        if function.cls is None:
            return self.of_name(function.name)
        for cls in self._classes(function.cls.name):
            for name in (DUNDERS.get(function.name, function.name), function.name):
                bound = cls.scope.names.get(name)
                if bound and isinstance(bound[-1], DefinedFunction):
                    return _judge(bound[-1].function)
                if bound or name in cls.fields:
                    return Counterpart("value")
        return Counterpart("missing")

    def of_name(self, name: str) -> Counterpart:
        """Tell what a top-level name is in the asyncio primitives."""
        bound = self.asynchronous.scope.names.get(name)
        if not bound:
            return Counterpart("missing")
        last = bound[-1]
        if isinstance(last, DefinedFunction):
            return _judge(last.function)
        if isinstance(last, Valued) and (origin := dotted(last.value)):
            imported = self.asynchronous.scope.names.get(origin.partition(".")[0], [])
            for source in imported:
                if isinstance(source, Imported) and source.module.partition(".")[0] in ("asyncio", "aiohttp"):
                    return Counterpart("asyncio")
        return Counterpart("value")

    def of_member(self, owner: str, name: str) -> Counterpart:
        """Tell what a member of a top-level name is in the asyncio primitives."""
        known = False
        for cls in self._classes(owner):
            known = True
            for spelled in (DUNDERS.get(name, name), name):
                bound = cls.scope.names.get(spelled)
                if bound and isinstance(bound[-1], DefinedFunction):
                    return _judge(bound[-1].function)
        return Counterpart("missing") if known else self.of_name(owner)

    def _classes(self, name: str) -> Iterator[Class]:
        """Give the asyncio class of a name and its bases in that module, nearest first."""
        for binding in self.asynchronous.scope.names.get(name, []):
            if isinstance(binding, DefinedClass):
                yield binding.cls
                for base in binding.cls.node.bases:
                    target = base.value if isinstance(base, ast.Subscript) else base
                    if isinstance(target, ast.Name) and target.id != name:
                        yield from self._classes(target.id)


def _judge(function: Function) -> Counterpart:
    returns = function.node.returns
    outer = returns.value if isinstance(returns, ast.Subscript) else returns
    last = (dotted(outer) or "").rpartition(".")[2] if outer is not None else ""
    if isinstance(function.node, ast.AsyncFunctionDef):
        return Counterpart("iterates" if function.is_generator else "waits", function)
    if last in AWAITABLES:
        return Counterpart("waits", function)
    if last in _ASYNC_ITERATORS:
        return Counterpart("iterates", function)
    return Counterpart("plain", function)


@dataclass(eq=False)
class Project:
    """All modules the generator has read.

    Attributes:
        twinned: the modules that get a twin, primitives excluded, in the order of their names.
        examples: the programs in the docstrings of twinned modules.
        conventions: what names in examples stand for when nothing binds them.
        read_roots: top-level package names that are the project's, and where they lie.
    """

    root: Path
    settings: Settings
    primitives: Primitives
    twinned: list[Module]
    read_roots: dict[str, Path]
    known: dict[str, Module | None] = field(default_factory=dict)
    examples: list[Module] = field(default_factory=list)
    conventions: dict[str, Type] = field(default_factory=dict)

    def module(self, name: str) -> Module | None:
        """Give one of the project's modules, reading it when it is first asked for; None for a foreign one."""
        if name not in self.known:
            file = self._file(name)
            self.known[name] = None if file is None else read(name, file, self.root)
        return self.known[name]

    def _file(self, name: str) -> Path | None:
        top, _, rest = name.partition(".")
        if top not in self.read_roots:
            return None
        base = self.read_roots[top].joinpath(*rest.split(".")) if rest else self.read_roots[top]
        for file in (base / "__init__.py", base.with_name(base.name + ".py")):
            if file.is_file():
                return file
        return None

    def twin_name(self, module: str) -> str | None:
        """Give the name of a module's twin, None where it has none."""
        found = self.known.get(module)
        if found is None or found.role == "shared":
            return None
        package = self.settings.package
        if module == package.source or module.startswith(package.source + "."):
            return package.twin + module[len(package.source) :]
        for tree in self.settings.tests:
            source, twin = tree.source.replace("/", "."), tree.twin.replace("/", ".")
            if module == source or module.startswith(source + "."):
                return twin + module[len(source) :]
        return None


def load(root: Path, settings: Settings) -> Project:
    """Read a package and its tests and tell what is twinned."""
    package = settings.package
    folder = root / package.source
    modules = {}
    for file in sorted(folder.glob("*.py")):
        name = package.source if file.stem == "__init__" else f"{package.source}.{file.stem}"
        modules[name] = read(name, file, root)
    blocking = modules[f"{package.source}.{package.primitives}"]
    asynchronous = read(f"{package.twin}.{package.primitives}", root / package.twin / f"{package.primitives}.py", root)
    blocking.role = "primitives"
    kept = {f"{package.source}.{name}" for name in package.kept}
    reaching = _reaching(modules, blocking.name, kept)
    for name in reaching:
        modules[name].role = "twinned"
    twinned = [modules[name] for name in sorted(reaching)]
    known: dict[str, Module | None] = dict(modules)
    for module in _tests(root, settings):
        known[module.name] = module
        twinned.append(module)
    roots = {package.source: folder}
    for tree in settings.tests:
        top = tree.source.partition("/")[0]
        roots[top] = root / top
    return Project(root, settings, Primitives(blocking, asynchronous), twinned, roots, known)


def _reaching(modules: dict[str, Module], primitives: str, kept: set[str]) -> set[str]:
    """Give the names of the modules from which a chain of imports leads to the primitives."""
    needs = {
        name: set(_imported(module, modules))
        for name, module in modules.items()
        if name not in kept and name != primitives
    }
    reaching: set[str] = set()
    while True:
        more = {name for name, imports in needs.items() if imports & (reaching | {primitives})} - reaching
        if not more:
            return reaching
        reaching |= more


def _imported(module: Module, modules: dict[str, Module]) -> Iterator[str]:
    for origin, name in module.imports():
        if name is not None and f"{origin}.{name}" in modules:
            yield f"{origin}.{name}"
        elif origin in modules and origin != module.name:
            yield origin


def _tests(root: Path, settings: Settings) -> Iterator[Module]:
    for tree in settings.tests:
        folder = root / tree.source
        for file in sorted(folder.rglob("*.py")):
            relative = file.relative_to(folder)
            if "__pycache__" in relative.parts or relative.as_posix() in tree.one_sided:
                continue
            parts = [*tree.source.split("/"), *relative.with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            module = read(".".join(parts), file, root)
            module.role = "twinned"
            module.is_test = True
            yield module
