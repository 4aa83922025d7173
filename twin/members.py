"""Refuses attributes of what is not known, where one of that name waits."""

from __future__ import annotations

import ast

from . import foreign
from .examiner import Examiner
from .model import ClassRef, FunctionRef, Instance, ModuleRef, Type, Unknown, Variable, arms
from .program import Class

__all__ = ["MemberRefusals"]


class MemberRefusals(Examiner):
    """Examines attributes."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute) and node.attr in self.waits.names:
            self._attribute(node)

    def _attribute(self, node: ast.Attribute) -> None:
        owner = self.type_of(node.value)
        shown = ast.unparse(node.value)
        if isinstance(node.ctx, ast.Store):
            for arm in arms(owner):
                if isinstance(arm, (Instance, ClassRef, ModuleRef)):
                    self._replaced(node, arm)
            return
        known = [arm for arm in arms(owner) if not isinstance(arm, (Unknown, Variable))]
        if not known or len(known) < len(list(arms(owner))):
            self.refuse(node, f"can't tell what {shown} is, and there is a .{node.attr} that waits: annotate {shown}")
        for arm in known:
            if isinstance(arm, (Instance, ClassRef)) and not self._has(arm.cls, node.attr):
                self.refuse(
                    node,
                    f"{arm.cls.qualname} declares no {node.attr}, and there is one that waits: declare it",
                )

    def _replaced(self, node: ast.Attribute, owner: Type) -> None:
        kind = self.inference.attribute(owner, node.attr)
        for arm in arms(kind):
            if isinstance(arm, FunctionRef) and self.waits.waits_at_all(arm.function) and not arm.function.is_property:
                shown = ast.unparse(node)
                self.refuse(node, f"assigning to {shown} replaces something that waits; it can't be seen by what")

    def _has(self, cls: Class, name: str) -> bool:
        return any(
            (isinstance(owner, str) and not foreign.is_harmless_base(owner))
            or (isinstance(owner, Class) and (name in owner.scope.names or name in owner.fields))
            for owner in self.inference.mro(cls)
        )
