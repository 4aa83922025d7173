"""Refuses functions that wait, and iterators, where they get out of sight."""

from __future__ import annotations

import ast

from . import foreign
from .calls import match_arguments
from .examiner import MIXED, Examiner
from .model import ForeignRef, FunctionRef, Instance, Type, arms
from .program import Binding, Class, Declared, Function
from .project import DUNDERS

__all__ = ["EscapeRefusals"]

# Attributes of a function that only tell about it.
_NAMING = frozenset({"__doc__", "__module__", "__name__", "__qualname__"})


class EscapeRefusals(Examiner):
    """Examines the values that are handed on."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
            self._value(node)

    def _value(self, node: ast.Name | ast.Attribute | ast.Call) -> None:
        """Refuse a function that waits, or an iterator, where it gets out of sight."""
        if isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del)):
            return
        parent = self.module.parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            return
        if self._in_annotation(node):
            return
        kind = self.type_of(node)
        if isinstance(node, ast.Call) and not self.waits.is_waiting_object(kind):
            return
        function = not isinstance(node, ast.Call) and self._is_waiting_function(kind)
        iterator = self.waits.is_waiting_object(kind)
        if function:
            if self.calling_value(kind) == MIXED:
                self.refuse(
                    node,
                    f"{ast.unparse(node)} waits when called, for some types it may have; make them agree",
                )
            self._escaping(node, f"{ast.unparse(node)} waits when it is called", callable_value=True)
        elif iterator:
            self._escaping(node, f"{ast.unparse(node)} waits when it is iterated over or entered", callable_value=False)

    def _is_waiting_function(self, kind: Type) -> bool:
        """Tell whether a value is a function whose call waits, or gives something that does."""
        return True in self.calling_value(kind) or any(
            isinstance(arm, FunctionRef) and self.waits.gives_waiting(arm.function) for arm in arms(kind)
        )

    def _in_annotation(self, node: ast.AST) -> bool:
        for child, parent in self.module.ancestors(node):
            if isinstance(parent, ast.stmt) or isinstance(child, ast.stmt):
                return (
                    isinstance(parent, (ast.FunctionDef, ast.AnnAssign))
                    and child in (getattr(parent, "returns", None), getattr(parent, "annotation", None))
                )  # fmt: skip
            if isinstance(parent, ast.arg):
                return True
        return False

    def _escaping(self, node: ast.expr, what: str, *, callable_value: bool) -> None:
        child: ast.AST = node
        parent = self.module.parents[child]
        while isinstance(parent, (ast.IfExp, ast.BoolOp, ast.NamedExpr)):
            if isinstance(parent, ast.IfExp) and child is parent.test:
                return
            child, parent = parent, self.module.parents[parent]
        if isinstance(parent, (ast.Expr, ast.UnaryOp, ast.If, ast.While, ast.Assert)):
            return
        if isinstance(parent, ast.Compare) and not isinstance(parent.ops[0], (ast.In, ast.NotIn)):
            return
        if isinstance(parent, ast.Attribute) and callable_value and parent.attr in _NAMING:
            return
        if isinstance(parent, (ast.For, ast.comprehension)) and child is parent.iter:
            return
        if isinstance(parent, ast.withitem):
            return
        if isinstance(parent, (ast.Assign, ast.AnnAssign)) and self._assignable(parent, what, callable_value):
            return
        if isinstance(parent, ast.Return) and self._returnable(parent, callable_value):
            return
        call = parent if isinstance(parent, ast.Call) else self.module.parents.get(parent)
        if isinstance(parent, (ast.Call, ast.keyword)) and isinstance(call, ast.Call):
            assert isinstance(child, ast.expr)
            self._argument(call, child, what, callable_value)
            return
        self.refuse(node, f"{what}; here it gets out of sight: call it where it is named")

    def _assignable(self, statement: ast.Assign | ast.AnnAssign, what: str, callable_value: bool) -> bool:
        if isinstance(statement, ast.AnnAssign):
            if not callable_value:
                return isinstance(statement.target, (ast.Name, ast.Attribute))
            return self._is_waiting_callable(statement.annotation)
        for target in statement.targets:
            name = getattr(target, "attr", getattr(target, "id", ""))
            if name.startswith("__") and name.endswith("__") and name != "__call__":
                return False
            if isinstance(target, ast.Name):
                bindings = self.module.scopes[target].find(target.id) or []
            elif isinstance(target, ast.Attribute):
                bindings = self._field_bindings(target)
            else:
                return False
            declared = [binding for binding in bindings if isinstance(binding, Declared)]
            if not bindings or (declared and not self._is_waiting_callable(declared[0].annotation)):
                return False
        return True

    def _field_bindings(self, target: ast.Attribute) -> list[Binding]:
        """Give what is bound to an attribute of this or another instance of the project."""
        found: list[Binding] = []
        for arm in arms(self.type_of(target.value)):
            if isinstance(arm, Instance):
                for owner in self.inference.mro(arm.cls):
                    if isinstance(owner, Class):
                        found += owner.scope.names.get(target.attr, [])
                        found += owner.fields.get(target.attr, [])
        return found

    def _is_waiting_callable(self, annotation: ast.expr) -> bool:
        return True in self.waits.calling(self.inference.annotation(annotation, self.module))

    def _returnable(self, statement: ast.Return, callable_value: bool) -> bool:
        function = self.waits.place(statement, self.module).function
        if function is None or (function.name.startswith("__") and function.name not in DUNDERS):
            return False
        if not callable_value:
            kind = self.inference.result_of(FunctionRef(function))
            return function in self.waits.forwarding and self.waits.is_waiting_object(kind)
        return function.node.returns is None or self._is_waiting_callable(function.node.returns)

    def _argument(self, call: ast.Call, argument: ast.expr, what: str, callable_value: bool) -> None:
        """Refuse what waits as an argument of something that does not expect it."""
        for arm in arms(self.type_of(call.func)):
            function = self.called_function(arm)
            if function is not None and function.module.role == "primitives":
                continue
            if callable_value and function is not None and function.module.role == "twinned":
                if self._parameter_expects(function, call, argument):
                    continue
                self.refuse(
                    argument,
                    f"{what}; annotate the parameter of {function.qualname} that takes it "
                    "as Callable[..., Waitable[...]]",
                )
                continue
            if arm in (ForeignRef("builtins.next"), ForeignRef("builtins.iter")) and not callable_value:
                continue
            if self.inference.is_cast(arm) and callable_value and self._is_waiting_callable(call.args[0]):
                continue
            if isinstance(arm, ForeignRef) and not foreign.calls_later(arm.name):
                continue
            self.refuse(
                argument,
                f"{what}, and {ast.unparse(call.func)} can't wait for it; "
                f"hand it to something of {self.project.primitives.blocking.path}",
            )

    def _parameter_expects(self, function: Function, call: ast.Call, argument: ast.expr) -> bool:
        return any(
            given is argument and self.expected(function, parameter) is True
            for parameter, given in match_arguments(function, call)
        )
