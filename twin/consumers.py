"""Refuses instances that wait when iterated over, entered or called where syntax or foreign code would do it."""

from __future__ import annotations

import ast
from typing import Literal

from . import foreign
from .examiner import Examiner
from .model import ForeignAttribute, ForeignRef, Instance, Type, arms
from .program import Valued

__all__ = ["ConsumerRefusals"]

# Foreign callables that keep what they are given, or show it.
_KEEPERS = frozenset({"append", "add", "appendleft", "insert", "put", "remove", "discard", "index", "debug", "info"})
_ENTERERS = frozenset({"closing", "enter_context", "push", "callback", "nullcontext"})

How = Literal["is", "in", "with"]


class ConsumerRefusals(Examiner):
    """Examines what iterates, enters and calls without saying so."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.Starred) and isinstance(node.ctx, ast.Load):
            self._unpacked(node.value)
        elif isinstance(node, ast.Compare):
            for operator, comparator in zip(node.ops, node.comparators, strict=True):
                if isinstance(operator, (ast.In, ast.NotIn)) and self._iterates(self.type_of(comparator)):
                    shown = ast.unparse(comparator)
                    self.refuse(comparator, f"`in {shown}` waits; make a list of it with a comprehension first")
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._target(target, node.value, "is")
        elif isinstance(node, ast.AugAssign):
            if self._iterates(self.type_of(node.value)):
                self._unpacked(node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._target(node.target, node.iter, "in")
        elif isinstance(node, ast.With):
            for item in node.items:
                if item.optional_vars is not None:
                    self._target(item.optional_vars, item.context_expr, "with")
        elif isinstance(node, ast.Call):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self._handed_over(node, argument)

    def _iterates(self, kind: Type) -> bool:
        return any(isinstance(arm, Instance) and True in self.waits.iterating(arm) for arm in arms(kind))

    def _unpacked(self, node: ast.expr) -> None:
        if self._iterates(self.type_of(node)):
            self.refuse(node, f"unpacking {ast.unparse(node)} waits; make a list of it with a comprehension first")

    def _target(self, target: ast.expr, value: ast.expr, how: How, path: tuple[int, ...] = ()) -> None:
        """Refuse the unpacking of what waits when it is iterated over."""
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
            self._unpacked(value)
        if not isinstance(target, (ast.Tuple, ast.List)):
            return
        if self._iterates(self.inference.bound(Valued(value, how, path, target), self.module)):
            shown = ast.unparse(value)
            self.refuse(target, f"unpacking what {shown} gives waits; make a list of it with a comprehension first")
        for number, element in enumerate(target.elts):
            self._target(element, value, how, (*path, number))

    def _handed_over(self, call: ast.Call, argument: ast.expr) -> None:
        kind = self.type_of(argument)
        shown = ast.unparse(argument)
        for arm in arms(self.type_of(call.func)):
            if not isinstance(arm, (ForeignRef, ForeignAttribute)):
                continue
            last = foreign.base_name(arm.name)
            uses = last not in _KEEPERS and foreign.calls_later(arm.name)
            if self._iterates(kind) and uses and arm not in (ForeignRef("builtins.next"), ForeignRef("builtins.iter")):
                self.refuse(argument, f"{last}() can't iterate over {shown}, which waits; use a comprehension")
            if uses and self._calls(kind):
                self.refuse(argument, f"{last}() may call {shown}, which waits; call it where it is named")
            closes = last == "closing" and self.is_waiting_instance(kind)
            if closes or (last in _ENTERERS and True in self.waits.entering(kind)):
                self.refuse(argument, f"{last}() can't enter {shown}, which waits; use a `with` statement")

    def _calls(self, kind: Type) -> bool:
        instances = (arm for arm in arms(kind) if isinstance(arm, Instance) and self.inference.has(arm.cls, "__call__"))
        return any(True in self.waits.calling(arm) for arm in instances)
