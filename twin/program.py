"""A parsed program: its modules, scopes, functions and classes, and what binds a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "Binding",
    "Class",
    "Declared",
    "DefinedClass",
    "DefinedFunction",
    "Function",
    "FunctionNode",
    "Imported",
    "Module",
    "Opaque",
    "Parameter",
    "Place",
    "Scope",
    "Valued",
    "dotted",
]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False)
class Function:
    """A ``def``, in a module, a class or another function.

    Attributes:
        overloads: the ``@overload`` stubs that stand before it under the same name.
        own_yields: the yields of its own body, which make it a generator.
    """

    module: Module
    node: FunctionNode
    qualname: str
    cls: Class | None
    scope: Scope
    decorators: tuple[str, ...] = ()
    overloads: list[Function] = field(default_factory=list)
    own_yields: list[ast.Yield | ast.YieldFrom] = field(default_factory=list)
    own_returns: list[ast.Return] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.node.name

    def decorated(self, *names: str) -> bool:
        """Tell whether one of the decorators has one of these last names."""
        return any(decorator.rpartition(".")[2] in names for decorator in self.decorators)

    @property
    def is_property(self) -> bool:
        return self.decorated("property", "cached_property", "setter", "deleter")

    @property
    def is_static(self) -> bool:
        return self.decorated("staticmethod")

    @property
    def is_classmethod(self) -> bool:
        return self.decorated("classmethod") or self.name in (
            "__new__",
            "__init_subclass__",
            "__class_getitem__",
        )

    @property
    def is_generator(self) -> bool:
        return bool(self.own_yields)

    @property
    def is_manager(self) -> bool:
        """Whether calling it gives a context manager made of a generator."""
        return self.decorated("contextmanager")

    @property
    def is_stub(self) -> bool:
        """Whether the body holds no code: of a protocol, an abstract method, an overload."""
        return all(_is_empty(statement) for statement in self.node.body)

    @property
    def bound_parameter(self) -> str | None:
        """The name of ``self`` or ``cls``, for methods."""
        if self.cls is None or self.is_static:
            return None
        arguments = self.node.args.posonlyargs + self.node.args.args
        return arguments[0].arg if arguments else None


def _is_empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    return False


@dataclass(eq=False)
class Class:
    """A ``class`` of the project.

    Attributes:
        fields: what is assigned to attributes of its instances, by ``self.x = ...`` in its methods.
    """

    module: Module
    node: ast.ClassDef
    qualname: str
    scope: Scope
    fields: dict[str, list[Binding]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name


Role = Literal["twinned", "shared", "primitives"]


@dataclass(frozen=True)
class Imported:
    """``import module`` (name is None) or ``from module import name``."""

    module: str
    name: str | None
    node: ast.AST


@dataclass(frozen=True)
class DefinedFunction:
    function: Function


@dataclass(frozen=True)
class DefinedClass:
    cls: Class


@dataclass(frozen=True)
class Parameter:
    """A parameter; ``star`` is "", "*" or "**"."""

    argument: ast.arg
    default: ast.expr | None
    star: str
    function: Function | None


@dataclass(frozen=True)
class Valued:
    """Bound to a value, its elements, what it enters to, or changed by it (``+=``); ``path`` is the part unpacked."""

    value: ast.expr
    how: Literal["is", "in", "with", "except", "augmented"]
    path: tuple[int, ...]
    node: ast.AST


@dataclass(frozen=True)
class Declared:
    """``name: annotation = value``."""

    annotation: ast.expr
    value: ast.expr | None
    node: ast.AST


@dataclass(frozen=True)
class Opaque:
    """Bound in a way that says nothing about the type."""

    node: ast.AST


Binding = Imported | DefinedFunction | DefinedClass | Parameter | Valued | Declared | Opaque


@dataclass(eq=False)
class Scope:
    """A namespace of the program."""

    kind: Literal["module", "class", "function", "lambda", "comprehension"]
    node: ast.AST
    parent: Scope | None
    function: Function | None = None
    cls: Class | None = None
    names: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)

    def bind(self, name: str, binding: Binding) -> None:
        """Record a binding, where a global or nonlocal statement sends it."""
        self.elsewhere.get(name, self).names.setdefault(name, []).append(binding)

    def find(self, name: str) -> list[Binding] | None:
        """Give the bindings a use of the name in this scope sees."""
        scope: Scope | None = self
        while scope is not None:
            if (scope is self or scope.kind != "class") and name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None


@dataclass(frozen=True)
class Place:
    """Where a node stands: in which function's body, and what keeps a wait from standing there, if anything."""

    function: Function | None
    obstacle: str | None


@dataclass(eq=False)
class Module:
    """A parsed module.

    Attributes:
        name: its dotted name.
        path: its file, for messages, relative to the project's root.
        line_offset: lines of the file before its first, for the examples of a docstring.
        enclosing: the module in whose docstring it stands, for examples.
        quoted: the parsed form of quoted annotations.
    """

    name: str
    path: str
    text: str
    tree: ast.Module
    is_package: bool
    role: Role = "shared"
    is_test: bool = False
    is_example: bool = False
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    scopes: dict[ast.AST, Scope] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    quoted: dict[ast.AST, ast.expr] = field(default_factory=dict)
    line_offset: int = 0
    enclosing: Module | None = None

    @property
    def scope(self) -> Scope:
        return self.scopes[self.tree]

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    def absolute(self, module: str | None, level: int) -> str:
        """Give the absolute name of what an import statement of this module names."""
        if level == 0:
            return module or ""
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - (level - 1)])
        return f"{base}.{module}" if module else base

    def imports(self) -> Iterator[tuple[str, str | None]]:
        """Give what the module imports anywhere: the module, and the name in it or None."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, None
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield self.absolute(node.module, node.level), alias.name

    def adopt(self, node: ast.AST, scope: Scope, parent: ast.AST) -> None:
        """Take in nodes parsed from a string of the module, such as a quoted annotation."""
        self.parents[node] = parent
        for child in ast.walk(node):
            self.scopes[child] = scope
            for grandchild in ast.iter_child_nodes(child):
                self.parents[grandchild] = child

    def ancestors(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Give each (node, its parent) up to the module."""
        while node in self.parents:
            yield node, self.parents[node]
            node = self.parents[node]

    def place(self, node: ast.AST) -> Place:
        """Tell whose body a node belongs to and what keeps it from waiting there."""
        obstacle: str | None = None
        for child, parent in self.ancestors(node):
            found = None
            if isinstance(parent, ast.Lambda):
                found = "a default argument" if child is parent.args else "a lambda"
            elif isinstance(parent, ast.GeneratorExp):
                if child is not parent.generators[0]:
                    found = "a generator expression"
            elif isinstance(parent, ast.comprehension):
                comprehension = self.parents[parent]
                if isinstance(comprehension, ast.GeneratorExp) and child is not parent.iter:
                    found = "a generator expression"
            elif isinstance(parent, ast.JoinedStr):
                found = "an f-string"
            elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if child in parent.body:
                    return Place(self.scopes[child].function, obstacle)
                if child in parent.decorator_list:
                    found = "a decorator"
                elif child is parent.args:
                    found = "a default argument"
                else:
                    found = "an annotation"
            elif isinstance(parent, ast.ClassDef):
                found = "a class body" if child in parent.body else "a class's header"
            elif isinstance(parent, ast.Module):
                found = None if self.is_example else "module level"
            obstacle = obstacle or found
        return Place(None, obstacle)


def dotted(node: ast.expr) -> str | None:
    """Give ``a.b.c`` for a chain of names, None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    return None
