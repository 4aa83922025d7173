"""Parses modules and binds their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from .program import (
    Binding,
    Class,
    Declared,
    DefinedClass,
    DefinedFunction,
    Function,
    FunctionNode,
    Imported,
    Module,
    Opaque,
    Parameter,
    Scope,
    Valued,
    dotted,
)

__all__ = ["parse", "read"]


def parse(name: str, path: str, text: str, *, is_package: bool = False) -> Module:
    """Parse a module and bind its names."""
    module = Module(name, path, text, ast.parse(text, filename=path), is_package)
    _Binder(module).run()
    return module


def read(name: str, file: Path, root: Path) -> Module:
    """Parse a module's file."""
    path = file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)
    return parse(name, path, file.read_text("utf-8"), is_package=file.name == "__init__.py")


class _Binder(ast.NodeVisitor):
    """Fills a module's scopes, parents, functions and classes."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.scope = Scope("module", module.tree, None)

    def run(self) -> None:
        self.visit(self.module.tree)

    def visit(self, node: ast.AST) -> None:
        self.module.scopes[node] = self.scope
        for child in ast.iter_child_nodes(node):
            self.module.parents[child] = node
        super().visit(node)

    def _each(self, nodes: list[ast.expr] | list[ast.stmt] | list[ast.keyword]) -> None:
        for node in nodes:
            self.visit(node)

    def _qualified(self, name: str) -> str:
        parts = [name]
        scope: Scope | None = self.scope
        while scope is not None:
            if isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                parts.append(scope.node.name)
            scope = scope.parent
        return ".".join(reversed(parts))

    # Definitions ---------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: FunctionNode) -> None:
        self._each(node.decorator_list)
        self._header(node.args)
        if node.returns is not None:
            self.visit(node.returns)
        scope = Scope("function", node, self.scope)
        decorators = tuple(filter(None, (_decorator_name(decorator) for decorator in node.decorator_list)))
        cls = self.scope.cls if self.scope.kind == "class" else None
        function = Function(self.module, node, self._qualified(node.name), cls, scope, decorators)
        scope.function = function
        self.module.functions.append(function)
        self._define(function)
        self._parameters(scope, node.args, function)
        outer, self.scope = self.scope, scope
        for statement in node.body:
            self.visit(statement)
        self.scope = outer

    def _define(self, function: Function) -> None:
        earlier = self.scope.names.get(function.name, [])
        last = earlier[-1] if earlier else None
        if isinstance(last, DefinedFunction):
            stub = last.function
            if stub.decorated("overload"):
                function.overloads = [*stub.overloads, stub]
                self.scope.names[function.name] = earlier[:-1]
            elif function.decorated("setter", "deleter", "getter"):
                return
        self.scope.bind(function.name, DefinedFunction(function))

    def _header(self, arguments: ast.arguments) -> None:
        self.module.scopes[arguments] = self.scope
        for argument in _all_arguments(arguments):
            self.module.parents[argument] = arguments
            self.visit(argument)
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.module.parents[default] = arguments
                self.visit(default)

    def _parameters(self, scope: Scope, arguments: ast.arguments, function: Function | None) -> None:
        positional = arguments.posonlyargs + arguments.args
        missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        for argument, default in zip(positional, missing + list(arguments.defaults), strict=True):
            scope.bind(argument.arg, Parameter(argument, default, "", function))
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            scope.bind(argument.arg, Parameter(argument, default, "", function))
        if arguments.vararg:
            scope.bind(arguments.vararg.arg, Parameter(arguments.vararg, None, "*", function))
        if arguments.kwarg:
            scope.bind(arguments.kwarg.arg, Parameter(arguments.kwarg, None, "**", function))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._header(node.args)
        outer = self.scope
        self.scope = Scope("lambda", node, outer, outer.function)
        self._parameters(self.scope, node.args, None)
        self.visit(node.body)
        self.scope = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._each(node.decorator_list)
        self._each(node.bases)
        self._each(node.keywords)
        scope = Scope("class", node, self.scope)
        cls = Class(self.module, node, self._qualified(node.name), scope)
        scope.cls = cls
        self.module.classes.append(cls)
        self.scope.bind(node.name, DefinedClass(cls))
        outer, self.scope = self.scope, scope
        for statement in node.body:
            self.visit(statement)
        self.scope = outer

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        outer = self.scope
        inner = Scope("comprehension", node, outer, outer.function)
        for number, generator in enumerate(node.generators):
            self.module.scopes[generator] = inner
            for child in ast.iter_child_nodes(generator):
                self.module.parents[child] = generator
            self.scope = outer if number == 0 else inner
            self.visit(generator.iter)
            self.scope = inner
            self._target(generator.target, generator.iter, "in", generator)
            self.visit(generator.target)
            self._each(generator.ifs)
        self._each([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.scope = outer

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    # Bindings ------------------------------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self.scope.bind(alias.asname, Imported(alias.name, None, node))
            else:
                top = alias.name.partition(".")[0]
                self.scope.bind(top, Imported(top, None, node))
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            origin = self.module.absolute(node.module, node.level)
            self.scope.bind(alias.asname or alias.name, Imported(origin, alias.name, node))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._target(target, node.value, "is", node)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        binding = Declared(node.annotation, node.value, node)
        if isinstance(node.target, ast.Name):
            self.scope.bind(node.target.id, binding)
        else:
            self._field(node.target, binding)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        binding = Valued(node.value, "augmented", (), node)
        if isinstance(node.target, ast.Name):
            self.scope.bind(node.target.id, binding)
        else:
            self._field(node.target, binding)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and scope.parent is not None:
            scope = scope.parent
        scope.bind(node.target.id, Valued(node.value, "is", (), node))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._target(node.target, node.iter, "in", node)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self._target(item.optional_vars, item.context_expr, "with", node)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            bound = Opaque(node) if node.type is None else Valued(node.type, "except", (), node)
            self.scope.bind(node.name, bound)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self.scope.bind(node.name, Opaque(node))
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.scope.bind(node.name, Opaque(node))

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.scope.bind(node.rest, Opaque(node))
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self.scope.elsewhere[name] = self.module.scope

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        scope = self.scope.parent
        for name in node.names:
            while scope is not None and (scope.kind == "class" or name not in scope.names):
                scope = scope.parent
            if scope is not None:
                self.scope.elsewhere[name] = scope

    def _target(
        self,
        target: ast.expr,
        value: ast.expr,
        how: Literal["is", "in", "with"],
        node: ast.AST,
        path: tuple[int, ...] = (),
    ) -> None:
        if isinstance(target, ast.Name):
            self.scope.bind(target.id, Valued(value, how, path, node))
        elif isinstance(target, (ast.Tuple, ast.List)):
            starred = any(isinstance(element, ast.Starred) for element in target.elts)
            for number, element in enumerate(target.elts):
                # An index into the element's own sequence; -1 stands for "some element" beside a starred one.
                self._target(element, value, how, node, (*path, -1 if starred else number))
        elif isinstance(target, ast.Starred):
            if isinstance(target.value, ast.Name):
                self.scope.bind(target.value.id, Opaque(node))
        else:
            self._field(target, Valued(value, how, path, node))

    def _field(self, target: ast.expr, binding: Binding) -> None:
        """Record ``self.x = ...``."""
        if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)):
            return
        scope: Scope | None = self.scope
        while scope is not None and scope.kind != "function":
            scope = scope.parent
        function = scope.function if scope else None
        if function is not None and function.cls is not None and target.value.id == function.bound_parameter:
            function.cls.fields.setdefault(target.attr, []).append(binding)

    # What a function's own body does ---------------------------------------------------------------------------------

    def visit_Yield(self, node: ast.Yield) -> None:
        self._yields(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._yields(node)

    def _yields(self, node: ast.Yield | ast.YieldFrom) -> None:
        if self.scope.kind == "function" and self.scope.function is not None:
            self.scope.function.own_yields.append(node)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if self.scope.function is not None:
            self.scope.function.own_returns.append(node)
        self.generic_visit(node)


def _decorator_name(node: ast.expr) -> str | None:
    return dotted(node.func if isinstance(node, ast.Call) else node)


def _all_arguments(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from arguments.posonlyargs
    yield from arguments.args
    yield from arguments.kwonlyargs
    if arguments.vararg:
        yield arguments.vararg
    if arguments.kwarg:
        yield arguments.kwarg
