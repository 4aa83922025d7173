"""How a module's text changes: await, async, the names that differ, and where imports lead."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator

from .edits import Edits, end, start
from .oracle import Function, Oracle
from .project import Module, Problem, Project
from .settings import DUNDERS, NAMES
from .waiting import Waits, outermost, own


class Changes:
    """Collects a module's changes."""

    def __init__(self, module: Module, waits: Waits) -> None:
        self.module = module
        self.waits = waits
        self.edits = Edits()
        self.renamed: set[ast.AST] = set()

    def collect(self) -> Edits:
        waiting = self.waits.kinds.keys()
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.FunctionDef):
                self.function(node)
            elif isinstance(node, ast.ClassDef):
                self.bases(node)
            elif isinstance(node, ast.Call):
                self.call(node)
            elif isinstance(node, ast.AnnAssign) and self.waits.iterates(node.target, self.module):
                self.iterates(node.annotation)
            elif isinstance(node, ast.comprehension) and "waits" in self.waits.here(node, self.module):
                self.edits.insert(node.target, "async ", self.before_for(*start(node.target)))
            elif isinstance(node, (ast.With, ast.For)) and "waits" in self.waits.here(node, self.module):
                self.edits.insert(node, "async ")
            elif isinstance(node, ast.Attribute) and waiting & self.waits.oracle.targets(node, self.module):
                self.rename([node], set(DUNDERS))
        for name in {node.id for node in self.renamed if isinstance(node, ast.Name)}:
            self.import_renamed(name)
        return self.edits

    def call(self, node: ast.Call) -> None:
        found = self.waits.calls(node, self.module)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in ("iter", "next") and found & {"waits", "iterates"}:
            self.edits.rename(start(node), name, f"a{name}")
        if "waits" not in found or self.waits.place(node, self.module)[0] in self.waits.open_ended:
            return
        parent = self.module.parents[node]
        trailed = isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is node
        trailed = trailed or (isinstance(parent, ast.Call) and parent.func is node)
        self.edits.insert(node, "(await " if trailed else "await ")
        if trailed:
            self.edits.append(node, ")")

    def before_for(self, line: int, column: int) -> tuple[int, int]:
        """Return where the ``for`` in front of a comprehension's target stands, which may be an earlier line."""
        text = self.line(line)[:column]
        while b"for" not in text.split():
            line -= 1
            text = self.line(line).partition(b"#")[0]
        return line, text.rindex(b"for")

    def line(self, number: int) -> bytes:
        return self.module.text.splitlines()[number - 1].encode()

    def function(self, node: ast.FunctionDef) -> None:
        function = self.waits.oracle.functions[node]
        kind = self.waits.kinds.get(function)
        if function in self.waits.coroutines:
            self.edits.insert(node, "async ")
            self.rename(own(node), {"StopIteration"})
            self.rename((each for decorator in node.decorator_list for each in ast.walk(decorator)), {"contextmanager"})
        if kind == "iterates" and node.returns is not None:
            self.iterates(node.returns)
        if kind and node.name in DUNDERS:
            column = self.line(node.lineno).index(node.name.encode(), node.col_offset)
            self.edits.rename((node.lineno, column), node.name, DUNDERS[node.name])

    def iterates(self, annotation: ast.expr) -> None:
        outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        self.rename([outer], NAMES.keys() - {"StopIteration"})

    def bases(self, node: ast.ClassDef) -> None:
        """Return a class whose methods wait the bases that have those methods."""
        functions = (self.waits.oracle.functions.get(each) for each in node.body)
        waiting = {each.name for each in functions if isinstance(each, Function) and each in self.waits.kinds}
        for base in (each.value if isinstance(each, ast.Subscript) else each for each in node.bases):
            iterates = outermost(base).startswith(("Iter", "Gen"))
            methods = {"__iter__", "__next__"} if iterates else {"__enter__", "__exit__"}
            names = self.waits.oracle.foreign(base, self.module)
            if waiting & methods and any(name.startswith(("typing.", "contextlib.")) for name in names):
                self.rename([base], NAMES.keys() - DUNDERS.keys())

    def rename(self, nodes: Iterable[ast.AST], names: set[str]) -> None:
        for node in nodes:
            if isinstance(node, ast.Name) and node.id in names:
                self.edits.rename(start(node), node.id, NAMES[node.id])
                self.renamed.add(node)
            elif isinstance(node, ast.Attribute) and node.attr in names:
                line, column = end(node)
                self.edits.rename((line, column - len(node.attr)), node.attr, NAMES[node.attr])

    def import_renamed(self, name: str) -> None:
        """Import the asynchronous name, and go on importing the other where something still uses it."""
        nodes = list(ast.walk(self.module.tree))
        still = any(isinstance(each, ast.Name) and each.id == name and each not in self.renamed for each in nodes)
        for alias in (alias for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names):
            if alias.name == name and alias.asname is None:
                text = f"{NAMES[name]}, {name}" if still else NAMES[name]
                self.edits.rename(start(alias), name, text)


def rewrite_imports(module: Module, project: Project, edits: Edits, oracle: Oracle) -> Iterator[Problem]:
    """Point a module's imports to the twins of what they import; yield what can't be pointed there."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and project.is_ours(module.origin(node)):
            yield from _import_from(node, module, project, edits)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if project.is_ours(alias.name):
                    yield from _import(alias, module, project, edits, oracle)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A string that is nothing but the path of something twinned, as monkeypatching takes it.
            twin = project.twin_path(node.value) if re.fullmatch(r"\w+(\.\w+)+", node.value) else node.value
            segment = ast.get_source_segment(module.text, node) if twin != node.value else None
            if segment is not None and segment[1:-1] == node.value:
                edits.replace(start(node), end(node), segment[0] + twin + segment[-1])


def _import_from(node: ast.ImportFrom, module: Module, project: Project, edits: Edits) -> Iterator[Problem]:
    origin = module.origin(node)
    if node.names[0].name == "*":
        yield module.problem(node, f"`from {origin} import *` hides what is imported; name it")
        return
    own = "." * node.level + (node.module or "")
    targets: dict[str, list[str]] = {}
    for alias in node.names:
        twin = _twin_holding(origin, alias.name, project)
        target = origin if twin is None else own if node.level else twin
        targets.setdefault(target, []).append(alias.name + (f" as {alias.asname}" if alias.asname else ""))
    line = module.text.splitlines()[node.lineno - 1].encode()
    match = re.compile(rb"from\s*([.\w]+)\s*import\b").match(line, node.col_offset)
    if len(targets) > 1:
        ordered = sorted(targets.items(), key=lambda found: found[0] != own)
        text = "; ".join(f"from {target} import {', '.join(names)}" for target, names in ordered)
        edits.replace(start(node), end(node), text)
    elif own not in targets and match is None:
        yield module.problem(node, "write `from ... import` on one line up to the word import")
    elif own not in targets and match is not None:
        edits.replace((node.lineno, match.start(1)), (node.lineno, match.end(1)), next(iter(targets)))


def _twin_holding(origin: str, name: str, project: Project) -> str | None:
    """Return the module of the twin that holds what ``from origin import name`` imports; None if that is shared."""
    module, below = project.modules.get(origin), f"{origin}.{name}"
    if (module is None or name not in module.bound()) and project.is_module(below):
        return (project.twin_name(below) or "").rpartition(".")[0] or None
    return project.twin_name(origin)


def _import(alias: ast.alias, module: Module, project: Project, edits: Edits, oracle: Oracle) -> Iterator[Problem]:
    """``import package`` binds the package's name, which has to become the twin's wherever it is used."""
    top = alias.name.partition(".")[0]
    names = (use for use in ast.walk(module.tree) if isinstance(use, ast.Name) and use.id == top and not alias.asname)
    uses = [use for use in names if oracle.names_module(use, module)]
    twinned = [use for use in uses if project.twin_path(path := _path(use, module)) != path]
    twin = project.twin_path(alias.name)
    if len(twinned) < len(uses) and (twinned or (twin != alias.name and not project.twin_name(top))):
        text = f"`import {alias.name}` leads to things with a twin and without; use `from {top} import ...`"
        yield module.problem(next(use for use in uses if use not in twinned), text)
    elif twin != alias.name and len(twinned) == len(uses):
        edits.rename(start(alias), alias.name, twin)
        for use in uses:
            if any(isinstance(parent, ast.JoinedStr) for _, parent in module.above(use)):
                # Before Python 3.12 a name in an f-string is no token.
                yield module.problem(use, f"{top} can't be renamed in an f-string; use `from {top} import ...`")
            else:
                edits.rename(start(use), top, twin.partition(".")[0])


def _path(use: ast.Name, module: Module) -> str:
    attributes = itertools.takewhile(lambda node: isinstance(node, ast.Attribute), (up for _, up in module.above(use)))
    return ast.unparse([use, *attributes][-1])
