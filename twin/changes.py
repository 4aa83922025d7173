"""How a module's text changes when what waits is known: await, async, and the names that differ."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unasync import _ASYNC_TO_SYNC  # type: ignore[import-untyped]  # it has no types

from . import foreign
from .edits import Edits
from .inference import Inference
from .model import ForeignRef, FunctionRef, Type, arms
from .program import Function, Imported, Module
from .project import DUNDERS, Project
from .waiting import Waits

__all__ = ["ASYNC_NAMES", "changes"]

# unasync's table read backwards, and what it lacks.
ASYNC_NAMES: dict[str, str] = {name: asynchronous for asynchronous, name in _ASYNC_TO_SYNC.items()} | {
    "AbstractContextManager": "AbstractAsyncContextManager",
    "ContextManager": "AsyncContextManager",
}


def changes(module: Module, project: Project, inference: Inference, waits: Waits) -> Edits:
    """Collect the changes of everything but the import statements and the docstrings."""
    collected = _Changes(module, project, inference, waits)
    collected.collect()
    return collected.edits


class _Changes:
    def __init__(self, module: Module, project: Project, inference: Inference, waits: Waits) -> None:
        self.module = module
        self.project = project
        self.inference = inference
        self.waits = waits
        self.edits = Edits()
        self.renamed_uses: dict[Imported, set[ast.AST]] = {}

    def collect(self) -> None:
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, (ast.With, ast.For)):
                if self.waits.waits_here(node, self.module):
                    self.edits.insert(node, "async ")
            elif isinstance(node, ast.comprehension):
                self._comprehension(node)
            elif isinstance(node, ast.Attribute):
                self._dunder_use(node)
            elif isinstance(node, ast.AnnAssign):
                self._annotated(node)
        for function in self.module.functions:
            self._function(function)
        for imported, uses in self.renamed_uses.items():
            self._import(imported, uses)

    # Statements and expressions ------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> None:
        callee = self.inference.type_of(node.func, self.module)
        self._builtin_name(node, callee)
        if not self.waits.waits_here(node, self.module):
            return
        owner = self.waits.place(node, self.module).function
        if owner in self.waits.open_ended:
            return
        parent = self.module.parents[node]
        trailed = (isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is node) or (
            isinstance(parent, ast.Call) and parent.func is node
        )
        self.edits.insert(node, "(await " if trailed else "await ")
        if trailed:
            self.edits.append(node, ")")

    def _builtin_name(self, node: ast.Call, callee: Type) -> None:
        """``next`` and ``iter`` of what waits have other names."""
        if callee in (ForeignRef("builtins.next"), ForeignRef("builtins.iter")) and node.args:
            assert isinstance(node.func, ast.Name)
            if True in self.waits.iterating(self.inference.type_of(node.args[0], self.module)):
                self.edits.rename((node.func.lineno, node.func.col_offset), f"a{node.func.id}")

    def _comprehension(self, node: ast.comprehension) -> None:
        if self.waits.waits_here(node, self.module):
            target = node.target
            self.edits.insert_at(self._keyword_before(target, "for"), "async ", (target.lineno, target.col_offset))

    def _keyword_before(self, node: ast.expr, keyword: str) -> tuple[int, int]:
        """Find the keyword in front of a node, which may stand on an earlier line."""
        lines = self.module.text.splitlines()
        line, column = node.lineno, node.col_offset
        text = lines[line - 1].encode()[:column]
        while keyword.encode() not in text.split():
            line -= 1
            text = lines[line - 1].partition("#")[0].encode()
        return line, text.rindex(keyword.encode())

    def _dunder_use(self, node: ast.Attribute) -> None:
        if node.attr in DUNDERS:
            for arm in arms(self.inference.type_of(node, self.module)):
                if isinstance(arm, FunctionRef) and self.waits.waits_at_all(arm.function):
                    assert node.end_col_offset is not None
                    assert node.end_lineno is not None
                    spot = (node.end_lineno, node.end_col_offset - len(node.attr))
                    self.edits.rename(spot, DUNDERS[node.attr])

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None and self.waits.is_waiting_object(self.inference.type_of(node.value, self.module)):
            self._rename_types(node.annotation)

    # Functions -----------------------------------------------------------------------------------------

    def _function(self, function: Function) -> None:
        family = [function, *function.overloads]
        for each in family:
            node = each.node
            if function in self.waits.coroutines:
                self.edits.insert(node, "async ")
            if self.waits.gives_waiting(function) and node.returns is not None:
                self._rename_types(node.returns)
            if function.name in DUNDERS and self.waits.waits_at_all(function):
                self.edits.rename(self._name_spot(function), DUNDERS[function.name])
        if function.is_manager and function in self.waits.coroutines:
            for decorator in function.node.decorator_list:
                self._rename_named(decorator, {"contextmanager"})
        if function in self.waits.coroutines:
            self._stops(function)

    def _name_spot(self, function: Function) -> tuple[int, int]:
        line = self.module.text.splitlines()[function.node.lineno - 1].encode()
        return function.node.lineno, line.index(function.name.encode(), function.node.col_offset)

    def _stops(self, function: Function) -> None:
        """``__next__`` ends with another exception, and so does a call of ``next()``."""
        for node in ast.walk(function.node):
            if not (isinstance(node, ast.Name) and node.id == "StopIteration"):
                continue
            parent = self.module.parents[node]
            if isinstance(parent, ast.Call):
                parent = self.module.parents[parent]
            ends = isinstance(parent, ast.Raise) and function.name == "__next__"
            if isinstance(parent, ast.Tuple):
                parent = self.module.parents[parent]
            tried = self.module.parents.get(parent)
            if isinstance(parent, ast.ExceptHandler) and isinstance(tried, ast.Try):
                ends = any(
                    isinstance(inner, ast.Call) and self._raises_stop(inner)
                    for statement in tried.body
                    for inner in ast.walk(statement)
                )
            if ends:
                self.edits.rename((node.lineno, node.col_offset), ASYNC_NAMES["StopIteration"])

    def _raises_stop(self, node: ast.Call) -> bool:
        if self.waits.advances(node, self.module):
            return True
        named = isinstance(node.func, ast.Attribute) and node.func.attr == "__next__"
        return named and self.waits.waits_here(node, self.module)

    # Names of types ------------------------------------------------------------------------------------

    def _rename_types(self, annotation: ast.expr) -> None:
        self._rename_named(annotation, set(foreign.ITERATORS) | {"AbstractContextManager", "ContextManager"})

    def _rename_named(self, expression: ast.expr, names: set[str]) -> None:
        """Rename the outer names of an expression that stand for one of the given foreign ones."""
        for node in self._outer(expression):
            kind = self.inference.type_of(node, self.module)
            if not isinstance(kind, ForeignRef) or foreign.base_name(kind.name) not in names:
                continue
            name = ASYNC_NAMES[foreign.base_name(kind.name)]
            if isinstance(node, ast.Attribute):
                assert node.end_lineno is not None
                assert node.end_col_offset is not None
                self.edits.rename((node.end_lineno, node.end_col_offset - len(node.attr)), name)
            elif isinstance(node, ast.Name):
                self.edits.rename((node.lineno, node.col_offset), name)
                for binding in self.module.scopes[node].find(node.id) or ():
                    if isinstance(binding, Imported):
                        self.renamed_uses.setdefault(binding, set()).add(node)

    def _outer(self, node: ast.expr) -> Iterator[ast.expr]:
        if isinstance(node, ast.Subscript):
            yield from self._outer(node.value)
        elif isinstance(node, ast.BinOp):
            yield from self._outer(node.left)
            yield from self._outer(node.right)
        elif isinstance(node, ast.Call):
            yield from self._outer(node.func)
        else:
            yield node

    def _import(self, imported: Imported, uses: set[ast.AST]) -> None:
        """Import the asynchronous name, and go on importing the other where something still uses it."""
        assert isinstance(imported.node, ast.ImportFrom)
        assert imported.name is not None
        asynchronous = ASYNC_NAMES[imported.name]
        others = [
            node
            for node in [*ast.walk(self.module.tree), *self._quoted_nodes()]
            if isinstance(node, ast.Name)
            and node.id == imported.name
            and node not in uses
            and imported in (self.module.scopes[node].find(node.id) or ())
        ]
        for alias in imported.node.names:
            already = any(each.name == asynchronous for each in imported.node.names)
            if alias.name == imported.name and not (others and already):
                text = f"{asynchronous}, {alias.name}" if others else asynchronous
                self.edits.rename((alias.lineno, alias.col_offset), text)

    def _quoted_nodes(self) -> Iterator[ast.AST]:
        for quoted in self.module.quoted.values():
            yield from ast.walk(quoted)
