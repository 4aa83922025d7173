"""What a call gives: of functions, classes, callables, and how arguments meet parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import foreign
from .foreigncalls import ForeignCalls
from .hierarchy import has_variables
from .model import (
    ANYTHING,
    NEVER,
    NOTHING,
    CallableOf,
    ClassRef,
    Foreign,
    ForeignAttribute,
    ForeignRef,
    FunctionRef,
    Instance,
    Type,
    arms,
    either,
    made,
    options,
)
from .program import Class, Declared, Function, Module

__all__ = ["Calls", "match_arguments"]


class Calls(ForeignCalls):
    """Answers what a call gives."""

    def _call(self, node: ast.Call, module: Module) -> Type:
        return either(self.result(arm, node, module) for arm in arms(self.type_of(node.func, module)))

    def result(self, callee: Type, node: ast.Call, module: Module) -> Type:
        """Give what a call of one callee gives."""
        if isinstance(callee, FunctionRef):
            return self.returned(callee.function, callee.receiver, node, module)
        if isinstance(callee, ClassRef):
            return Instance(callee.cls, callee.args or self._constructed(callee.cls, node, module))
        if isinstance(callee, CallableOf):
            return callee.result
        if isinstance(callee, Instance):
            return either(
                self.result(arm, node, module)
                for arm in arms(self.attribute(callee, "__call__"))
                if not isinstance(arm, Instance)
            )
        if isinstance(callee, ForeignRef):
            return self.foreign_call(callee.name, node, module)
        if isinstance(callee, ForeignAttribute):
            return self.foreign_method(callee, node, module)
        if isinstance(callee, Foreign) and foreign.base_name(callee.name) in ("type", "Type"):
            return callee.args[0] if callee.args else ANYTHING
        return ANYTHING

    def result_of(self, callee: Type) -> Type:
        """Give what calling a value gives, without knowing the arguments."""
        if isinstance(callee, FunctionRef):
            return self.returned(callee.function, callee.receiver, None, None)
        if isinstance(callee, CallableOf):
            return callee.result
        return made(callee) if isinstance(callee, (ClassRef, ForeignRef)) else ANYTHING

    def returned(self, function: Function, receiver: Type | None, node: ast.Call | None, module: Module | None) -> Type:
        """Give what a function returns for a receiver and a call's arguments."""
        kind = self.declared_return(function)
        by: dict[str, Type] = {}
        if isinstance(receiver, ClassRef):
            by["Self"] = Instance(receiver.cls, receiver.args)
        elif isinstance(receiver, Instance):
            by["Self"] = receiver
        if isinstance(receiver, (Instance, ClassRef)) and function.cls is not None:
            by.update(self.class_map(Instance(receiver.cls, receiver.args), function.cls))
        if node is not None and module is not None and has_variables(kind):
            found: dict[str, list[Type]] = {}
            for parameter, argument in match_arguments(function, node):
                if parameter.annotation is not None:
                    self.unify(
                        self.annotation(parameter.annotation, function.module),
                        self.type_of(argument, module),
                        found,
                    )
            by.update({name: either(kinds) for name, kinds in found.items()})
        return self.substitute(kind, by)

    def declared_return(self, function: Function) -> Type:
        if function in self._returns:
            return self._returns[function]
        if function.overloads:
            kind = either(self.declared_return(stub) for stub in function.overloads)
        elif function.node.returns is not None:
            kind = self.annotation(function.node.returns, function.module)
        elif function.is_generator:
            kind = Foreign("typing.Iterator", (ANYTHING,))
        else:
            kind = either(
                self.type_of(statement.value, function.module) if statement.value is not None else NOTHING
                for statement in function.own_returns
            )
            kind = NOTHING if kind == NEVER and not self._cut else kind
        if function.is_manager:
            kind = Foreign("contextlib.AbstractContextManager", (self.element(kind),), function)
        else:
            kind = either(self._with_source(arm, function) for arm in options(kind))
        if not self._cut:
            self._returns[function] = kind
        return kind

    def _with_source(self, arm: Type, function: Function) -> Type:
        named = isinstance(arm, Foreign) and foreign.base_name(arm.name) in foreign.MADE
        if isinstance(arm, Foreign) and named and (arm.source is None or function.node.returns is not None):
            return Foreign(arm.name, arm.args, function)
        return arm

    def _constructed(self, cls: Class, node: ast.Call, module: Module) -> tuple[Type, ...]:
        variables = self.variables(cls)
        if not variables:
            return ()
        found: dict[str, list[Type]] = {}
        initializer = self.in_class(cls, "__init__")
        if isinstance(initializer, FunctionRef):
            for parameter, argument in match_arguments(initializer.function, node):
                if parameter.annotation is not None:
                    self.unify(
                        self.annotation(parameter.annotation, cls.module),
                        self.type_of(argument, module),
                        found,
                    )
        else:
            declared = {
                name: binding
                for name, bindings in cls.scope.names.items()
                for binding in bindings
                if isinstance(binding, Declared)
            }
            given = list(zip(declared.values(), node.args, strict=False))
            given += [(declared[k.arg], k.value) for k in node.keywords if k.arg in declared and k.arg is not None]
            for binding, argument in given:
                self.unify(self.annotation(binding.annotation, cls.module), self.type_of(argument, module), found)
        return tuple(either(found.get(name, [ANYTHING])) for name in variables)


def match_arguments(function: Function, node: ast.Call) -> Iterator[tuple[ast.arg, ast.expr]]:
    """Pair a call's arguments with the parameters they go to; those behind a star are left out."""
    arguments = function.node.args
    positional = arguments.posonlyargs + arguments.args
    if function.bound_parameter is not None:
        positional = positional[1:]
    for number, argument in enumerate(node.args):
        if isinstance(argument, ast.Starred):
            break
        if number < len(positional):
            yield positional[number], argument
        elif arguments.vararg is not None:
            yield arguments.vararg, argument
    by_name = {argument.arg: argument for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for keyword in node.keywords:
        if keyword.arg in by_name:
            yield by_name[keyword.arg], keyword.value
        elif keyword.arg is not None and arguments.kwarg is not None:
            yield arguments.kwarg, keyword.value
