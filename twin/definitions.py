"""Refuses definitions that wait and must not: by their decorators, annotations, bases and overrides."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from . import foreign
from .examiner import Examiner
from .model import (
    CallableOf,
    ClassRef,
    Foreign,
    ForeignAttribute,
    ForeignRef,
    FunctionRef,
    Instance,
    Never,
    Type,
    Unknown,
    arms,
    options,
)
from .problems import Problem
from .program import Function, Valued

__all__ = ["DefinitionRefusals"]

# Decorators that leave a function what it is, or know coroutine functions.
_DECORATORS = frozenset(
    {
        "abstractmethod",
        "override",
        "overload",
        "staticmethod",
        "classmethod",
        "contextmanager",
        "final",
        "fixture",
    }
)
_DECORATING_MODULES = ("pytest.", "hypothesis.", "typing.", "typing_extensions.", "abc.")


class DefinitionRefusals(Examiner):
    """Examines functions and classes, and which of them stand in for which."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            self.refuse(node, "the source is blocking code: async and await have no place in it")
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            self._decorated(node)
        elif isinstance(node, ast.Module):
            for function in self.module.functions:
                self._function(function)
            for overriding, overridden in self.waits.overrides:
                self._override(overriding, overridden)

    def _function(self, function: Function) -> None:
        if function in self.waits.open_ended:
            self._open_ended(function)
        if not self.waits.waits_at_all(function):
            return
        self._hooks(function)
        for decorator in function.node.decorator_list:
            self._decorator(function, decorator)
        if function in self.waits.coroutines and function.is_generator:
            for statement in function.own_returns:
                if statement.value is not None:
                    self.refuse(statement, "an asynchronous generator can't return a value; use a bare return")
            self._generator_annotation(function)
        for base in self.inference.mro(function.cls)[1:] if function.cls is not None else ():
            if isinstance(base, str) and not foreign.is_harmless_base(base):
                self.refuse(
                    function.node,
                    f"{function.qualname} waits, and {base} may call it without waiting; don't inherit from {base}",
                )

    def _generator_annotation(self, function: Function) -> None:
        kind = self.inference.annotation(function.node.returns, self.module) if function.node.returns else None
        if kind is not None and any(
            isinstance(arm, Foreign) and foreign.base_name(arm.name) == "Generator" and len(arm.args) != 2
            for arm in arms(kind)
        ):
            self.refuse(function.node, f"{function.qualname} waits: annotate it as Iterator[...], not Generator")
        if isinstance(function.node.returns, ast.Constant):
            self.refuse(function.node, f"{function.qualname} waits: its return annotation must not be quoted")

    def _decorated(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        """Refuse decorators of the project that put something that waits in the place of something that does not."""
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Attribute) and decorator.attr in ("default", "validator"):
                # An attrs field, whose annotation says what its value is and not what it is itself.
                continue
            for arm in arms(self.type_of(decorator)):
                if isinstance(arm, (Foreign, ForeignRef, ForeignAttribute)):
                    continue
                if any(self._replaces(result) for result in options(self.inference.result_of(arm))):
                    self.refuse(
                        decorator,
                        f"what the decorator {ast.unparse(decorator)} puts in the place of {node.name} may wait; "
                        "annotate it to return what it was given, or do without it",
                    )

    def _replaces(self, replacement: Type) -> bool:
        if isinstance(replacement, FunctionRef):
            return self.waits.waits_at_all(replacement.function)
        if isinstance(replacement, CallableOf):
            return replacement.waits
        return isinstance(replacement, (Unknown, Never, ClassRef, Instance))

    def _decorator(self, function: Function, decorator: ast.expr) -> None:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(target, ast.Name):
            target = self._marker(target) or target
        kind = self.type_of(target)
        if isinstance(kind, ForeignRef):
            if foreign.base_name(kind.name) in _DECORATORS or kind.name.startswith(_DECORATING_MODULES):
                return
            if function.is_property:
                self.refuse(function.node, f"{function.qualname} waits, which a property can't; make it a method")
                return
        self.refuse(
            decorator,
            f"{function.qualname} waits, and the decorator {ast.unparse(target)} may not expect that; do without it",
        )

    def _marker(self, name: ast.Name) -> ast.expr | None:
        """Give the foreign function that made a decorator which the module keeps under a name."""
        for binding in self.module.scopes[name].find(name.id) or ():
            if isinstance(binding, Valued) and binding.how == "is" and isinstance(binding.value, ast.Call):
                return binding.value.func
        return None

    def _hooks(self, function: Function) -> None:
        """Refuse to override what a base without a twin calls by a name that it does not define."""
        for base in self.inference.mro(function.cls)[1:] if function.cls is not None else ():
            if isinstance(base, str) or base.module.role != "shared" or function.name in base.scope.names:
                continue
            for node in ast.walk(base.node):
                name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
                if name == function.name:
                    self.refuse(
                        function.node,
                        f"{function.qualname} waits, and {base.qualname} in {base.module.path}, which has no twin, "
                        "names it and may call it; move that call here",
                    )
                    break

    def _open_ended(self, function: Function) -> None:
        """A function that returns Waitable must return nothing else."""
        if function.is_generator or function.is_property:
            self.refuse(function.node, f"{function.qualname} is annotated Waitable: make it a plain function")
        for statement in function.own_returns:
            if self.waits.place(statement, self.module).function is function:
                for value in _alternatives(statement.value) if statement.value is not None else (None,):
                    waiting = isinstance(value, ast.Call) and self.waits.waits_here(value, self.module)
                    if not waiting:
                        shown = ast.unparse(value) if value is not None else "None"
                        self.refuse(
                            statement,
                            f"{function.qualname} is annotated Waitable and returns {shown}, which is no call that "
                            "waits; return the call of a function that does",
                        )

    def _override(self, overriding: Function, overridden: Function) -> None:
        """Refuse methods that stand in for each other and don't agree about waiting."""
        if overriding.is_property or overridden.is_property:
            return
        modules = [function.module for function in (overriding, overridden) if function.module.role == "twinned"]
        if all(function.module.role == "primitives" for function in (overriding, overridden)):
            return
        if self.module is not (modules or self.project.twinned)[0]:
            return
        if self.waits.call_waits(overriding) == self.waits.call_waits(overridden) and (
            self.waits.gives_waiting(overriding) == self.waits.gives_waiting(overridden)
        ):
            return
        waiting, other = overriding, overridden
        if self.waits.waits_at_all(overridden):
            waiting, other = other, waiting
        named = overriding if overriding.module.role == "twinned" else overridden
        self.problems.append(
            Problem(
                named.module.path,
                named.node.lineno + named.module.line_offset,
                f"{waiting.qualname} ({waiting.module.path}:{waiting.node.lineno}) waits and {other.qualname} "
                f"({other.module.path}:{other.node.lineno}) does not, and one stands in for the other; make them agree",
            )
        )


def _alternatives(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from _alternatives(value.body)
        yield from _alternatives(value.orelse)
    else:
        yield value
