"""Refuses instances that wait where their declared type no longer shows it: an iterable, a callable, ``Any``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .calls import match_arguments
from .examiner import Examiner
from .model import (
    OPAQUE,
    CallableOf,
    ClassRef,
    Foreign,
    ForeignAttribute,
    FunctionRef,
    Instance,
    Type,
    Unknown,
    Variable,
    arms,
    either,
)
from .program import Declared, Function, Module

__all__ = ["FlowRefusals"]

_PUTTING = frozenset({"append", "appendleft", "add", "insert", "extend", "setdefault", "update"})


class FlowRefusals(Examiner):
    """Examines what values become by assignments, arguments and returns."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._arguments(node)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._becomes(node.value, node.annotation, self.module)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, (ast.Name, ast.Attribute)):
                    self._compare(node.value, self.type_of(target))
        elif isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            function = self.waits.place(node, self.module).function
            if function is not None and function.node.returns is not None:
                kind = self.inference.annotation(function.node.returns, self.module)
                if function.is_generator == isinstance(node, ast.Yield):
                    self._compare(node.value, self.inference.element(kind) if function.is_generator else kind)

    def _arguments(self, call: ast.Call) -> None:
        callee = self.type_of(call.func)
        if self.inference.is_cast(callee) and len(call.args) == 2:
            self._becomes(call.args[1], call.args[0], self.module)
        for arm in arms(callee):
            if isinstance(arm, ForeignAttribute) and arm.name in _PUTTING and arm.receiver.args:
                for argument in call.args:
                    self._put(arm.receiver, argument)
            function = self.called_function(arm)
            if function is not None:
                self._parameters(function, call)
            elif isinstance(arm, ClassRef):
                self._fields(arm, call)

    def _parameters(self, function: Function, call: ast.Call) -> None:
        for parameter, argument in match_arguments(function, call):
            if parameter.annotation is not None:
                self._becomes(argument, parameter.annotation, function.module)
            if function.module.role == "shared":
                self._shared(argument, parameter.annotation, function.module)

    def _fields(self, made_of: ClassRef, call: ast.Call) -> None:
        """Compare arguments with the fields of a class whose ``__init__`` is generated."""
        fields: dict[str, tuple[Declared, Module]] = {}
        for cls in reversed(self.inference.mro(made_of.cls)):
            if not isinstance(cls, str):
                for name, bindings in cls.scope.names.items():
                    fields.update((name, (each, cls.module)) for each in bindings if isinstance(each, Declared))
        given = list(zip(fields.values(), call.args, strict=False))
        names = {name.lstrip("_"): field for name, field in fields.items()} | fields
        given += [(names[k.arg], k.value) for k in call.keywords if k.arg is not None and k.arg in names]
        for (declared, module), argument in given:
            self._becomes(argument, declared.annotation, module)
            if module.role == "shared":
                self._shared(argument, declared.annotation, module)

    def _becomes(self, value: ast.expr, annotation: ast.expr, module: Module) -> None:
        self._compare(value, self.inference.annotation(annotation, module))

    def _compare(self, value: ast.expr, declared: Type) -> None:
        for lost in self._lost(declared, self.type_of(value)):
            self.refuse(
                value,
                f"{ast.unparse(value)} is or gives {lost.cls.qualname}, which waits, and is declared as something "
                f"that does not say so; declare it as {lost.cls.qualname} or as a Protocol of yours",
            )
            return

    def _lost(self, declared: Type, actual: Type) -> Iterator[Instance]:
        """Give the instances that wait by themselves and that the declared type does not show."""
        wanted = list(arms(declared))
        if not wanted or any(isinstance(arm, (Unknown, Variable)) or arm == OPAQUE for arm in wanted):
            return
        for arm in arms(actual):
            if isinstance(arm, Instance):
                if self._waits_itself(arm) and not any(self._shows(each, arm) for each in wanted):
                    yield arm
            elif isinstance(arm, Foreign) and arm.args:
                inner = [arg for each in wanted if isinstance(each, Foreign) for arg in each.args]
                for arg in arm.args:
                    yield from self._lost(either(inner), arg)
            elif isinstance(arm, (FunctionRef, ClassRef, CallableOf)):
                results = [each.result for each in wanted if isinstance(each, CallableOf)]
                yield from self._lost(either(results), self.inference.result_of(arm))

    def _waits_itself(self, arm: Instance) -> bool:
        called = self.inference.has(arm.cls, "__call__") and True in self.waits.calling(arm)
        return called or True in self.waits.iterating(arm) or True in self.waits.entering(arm)

    def _shows(self, declared: Type, arm: Instance) -> bool:
        if isinstance(declared, Instance):
            return declared.cls in self.inference.mro(arm.cls) or self.waits.is_protocol(declared.cls)
        return isinstance(declared, CallableOf) and declared.waits

    def _put(self, receiver: Foreign, argument: ast.expr) -> None:
        """Refuse adding to a container what its known contents don't tell of."""
        held = [inner for arg in receiver.args for inner in _flat(arg)]
        if any(isinstance(arm, (Unknown, Variable)) or arm == OPAQUE for arm in held):
            return
        for arm in _flat(self.type_of(argument)):
            if not isinstance(arm, Instance) or not self.is_waiting_instance(arm):
                continue
            if not any(isinstance(each, Instance) and self._related(each, arm) for each in held):
                shown = ast.unparse(argument)
                self.refuse(
                    argument, f"{shown} may wait, and what the container holds does not; annotate the container"
                )

    def _related(self, held: Instance, arm: Instance) -> bool:
        return held.cls in self.inference.mro(arm.cls) or self.waits.is_protocol(held.cls)

    def _shared(self, argument: ast.expr, annotation: ast.expr | None, module: Module) -> None:
        """Refuse handing something that waits to shared code that may do anything with it."""
        if isinstance(annotation, ast.Name) and annotation.id == "object":
            return
        kind = None if annotation is None else self.inference.annotation(annotation, module)
        if kind is not None and not any(isinstance(arm, Unknown) for arm in arms(kind)):
            return
        if any(
            isinstance(arm, (Instance, ClassRef)) and self.is_waiting_instance(arm)
            for arm in _flat(self.type_of(argument))
        ):
            self.refuse(
                argument,
                f"{ast.unparse(argument)} has methods that wait, and {module.path}, which has no twin, takes it as "
                "anything; annotate the parameter with a Protocol",
            )


def _flat(kind: Type) -> Iterator[Type]:
    """Give a type and everything it holds."""
    for arm in arms(kind):
        yield arm
        if isinstance(arm, (Foreign, Instance)):
            for arg in arm.args:
                yield from _flat(arg)
