"""Refuses what gets at a member without naming it: getattr, vars, ``__dict__``, eval."""

from __future__ import annotations

import ast

from . import foreign
from .examiner import Examiner
from .model import ClassRef, Foreign, ForeignAttribute, ForeignRef, Instance, ModuleRef, Type, Unknown, Variable, arms

__all__ = ["ReflectionRefusals"]

_BY_NAME = frozenset({"builtins.getattr", "builtins.setattr", "builtins.delattr"})
_BY_DUNDER = frozenset({"__dict__", "__getattribute__", "__getattr__"})


class ReflectionRefusals(Examiner):
    """Examines reflective code."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._called(node)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            if isinstance(node, ast.Attribute) and node.attr in _BY_DUNDER and self._may_wait(self.type_of(node.value)):
                self.refuse(node, f".{node.attr} gives members by any name, and some wait; name the attribute")
            parent = self.module.parents[node]
            if not (isinstance(parent, ast.Call) and parent.func is node):
                for arm in arms(self.type_of(node)):
                    if isinstance(arm, ForeignRef) and arm.name == "builtins.getattr":
                        self.refuse(node, "getattr may give something that waits; name the attribute in code")

    def _called(self, node: ast.Call) -> None:
        callee = self.type_of(node.func)
        for arm in arms(callee):
            if not isinstance(arm, ForeignRef):
                continue
            if foreign.hides_names(arm.name):
                self.refuse(node, f"{arm.name}() hides what it gives, which may wait; name it in code")
            elif arm.name in _BY_NAME:
                self._by_name(node, foreign.base_name(arm.name))
            elif foreign.shows_members(arm.name) and any(self._may_wait(self.type_of(each)) for each in node.args):
                self.refuse(node, f"{arm.name}() gives members by any name, and some wait; name the attribute")

    def _by_name(self, node: ast.Call, called: str) -> None:
        if len(node.args) < 2 or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.refuse(node, f"{called} with unpacked arguments hides what it gets at, which may wait; name it")
            return
        owner = self.type_of(node.args[0])
        name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
        if name is None:
            if self._may_wait(owner):
                self.refuse(node, f"{called} with a computed name may give something that waits; name the attribute")
        elif name in self.waits.names and self._may_be_ours(owner):
            self.refuse(node, f"{called}(..., {name!r}) may give something that waits; write .{name}")

    def _may_be_ours(self, kind: Type) -> bool:
        return not all(isinstance(arm, (Foreign, ForeignRef, ForeignAttribute)) for arm in arms(kind))

    def _may_wait(self, kind: Type) -> bool:
        """Tell whether a value is an instance, a class or a module with members that wait, or may be one."""
        return any(
            isinstance(arm, (Unknown, Variable))
            or (isinstance(arm, ModuleRef) and arm.module.role != "shared")
            or (isinstance(arm, (Instance, ClassRef)) and self.is_waiting_instance(arm))
            for arm in arms(kind)
        )
