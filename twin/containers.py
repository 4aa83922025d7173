"""What comes out of a value that is iterated over, subscripted or entered, and what can hold ours."""

from __future__ import annotations

import ast

from . import foreign
from .annotations import Annotations
from .model import (
    ANYTHING,
    OPAQUE,
    TEXT,
    CallableOf,
    ClassRef,
    Foreign,
    ForeignAttribute,
    ForeignRef,
    FunctionRef,
    Instance,
    ModuleRef,
    Parent,
    Type,
    Unknown,
    Variable,
    arms,
    either,
)
from .program import Module

__all__ = ["Containers"]


class Containers(Annotations):
    """Answers what containers, iterators and context managers give."""

    def element(self, kind: Type) -> Type:
        """Give what iterating over a value gives."""
        return either(self._element(arm) for arm in arms(kind))

    def _element(self, arm: Type) -> Type:
        if isinstance(arm, Instance):
            return self.element_of_iterator(self.iterated(arm))
        if isinstance(arm, ForeignAttribute):
            arm = self.value_of(arm)
        if isinstance(arm, Foreign):
            last = foreign.base_name(arm.name)
            if last in ("tuple", "Tuple"):
                if arm.args and arm.args[-1] == Foreign("..."):
                    return arm.args[0]
                return either(arm.args)
            if foreign.is_iterable_of_first(arm.name) and arm.args:
                return arm.args[0]
            if last in ("str", "bytes", "range"):
                return TEXT if last == "str" else Foreign("builtins.int")
            return OPAQUE if self.keeps_out(arm) else ANYTHING
        if isinstance(arm, ForeignRef):
            return OPAQUE
        return ANYTHING

    def element_of_iterator(self, kind: Type) -> Type:
        return either(self.next_of(arm) for arm in arms(kind))

    def iterated(self, arm: Instance) -> Type:
        return either(self.result_of(method) for method in arms(self.attribute(arm, "__iter__")))

    def next_of(self, kind: Type) -> Type:
        found: list[Type] = []
        for arm in arms(kind):
            if isinstance(arm, Instance):
                found.extend(self.result_of(method) for method in arms(self.attribute(arm, "__next__")))
            else:
                found.append(self._element(arm))
        return either(found)

    def entered(self, kind: Type) -> Type:
        """Give what ``with value as name`` binds."""
        found: list[Type] = []
        for arm in arms(kind):
            if isinstance(arm, Instance):
                found.extend(self.result_of(method) for method in arms(self.attribute(arm, "__enter__")))
            elif isinstance(arm, Foreign):
                last = foreign.base_name(arm.name)
                managed = last in ("AbstractContextManager", "ContextManager") and arm.args
                found.append(arm.args[0] if managed else arm)
            else:
                found.append(ANYTHING)
        return either(found)

    def item(self, arm: Type, node: ast.Subscript, module: Module) -> Type:
        if isinstance(arm, ClassRef):
            return ClassRef(arm.cls, self.subscripts(node, module))
        if isinstance(arm, ForeignRef):
            return arm
        if isinstance(arm, Instance):
            return either(self.result_of(method) for method in arms(self.attribute(arm, "__getitem__")))
        if isinstance(arm, ForeignAttribute):
            arm = self.value_of(arm)
        if isinstance(arm, Foreign):
            last = foreign.base_name(arm.name)
            if isinstance(node.slice, ast.Slice):
                return arm
            if foreign.is_mapping(arm.name) and len(arm.args) == 2:
                return arm.args[1]
            if (
                last in ("tuple", "Tuple")
                and isinstance(node.slice, ast.Constant)
                and isinstance(node.slice.value, int)
            ):
                fixed = arm.args and arm.args[-1] != Foreign("...")
                return arm.args[node.slice.value] if fixed and node.slice.value < len(arm.args) else self._element(arm)
            return self._element(arm)
        return ANYTHING

    def mapped(self, kind: Type, index: int) -> Type:
        found: list[Type] = []
        for arm in arms(kind):
            if isinstance(arm, Foreign) and foreign.is_mapping(arm.name) and len(arm.args) == 2:
                found.append(arm.args[index])
            else:
                found.extend(self.part(pair, index) for pair in arms(self._element(arm)))
        return either(found)

    def part(self, arm: Type, index: int) -> Type:
        if isinstance(arm, Foreign) and foreign.base_name(arm.name) in ("tuple", "Tuple"):
            fixed = arm.args and arm.args[-1] != Foreign("...")
            if fixed and 0 <= index < len(arm.args):
                return arm.args[index]
        return self.element(arm)

    def is_ours(self, kind: Type) -> bool:
        """Tell whether a value may be, or hold, something of the project's that waits."""
        for arm in arms(kind):
            if isinstance(arm, (Instance, ClassRef)):
                if arm.cls.module.role != "shared" or any(self.is_ours(arg) for arg in arm.args):
                    return True
            elif isinstance(arm, Foreign):
                if arm.source is not None or any(self.is_ours(arg) for arg in arm.args):
                    return True
            elif isinstance(arm, FunctionRef):
                if self.is_ours(self.declared_return(arm.function)):
                    return True
            elif isinstance(arm, CallableOf):
                if arm.waits or self.is_ours(arm.result):
                    return True
            elif isinstance(arm, (Unknown, Variable, Parent, ModuleRef)):
                return True
        return False

    def value_of(self, attribute: ForeignAttribute) -> Type:
        """Give the type of a foreign attribute that is used as a value."""
        return OPAQUE if self.keeps_out(attribute.receiver) else ANYTHING

    def keeps_out(self, receiver: Foreign) -> bool:
        if receiver.args:
            return not any(self.is_ours(arg) for arg in receiver.args)
        return foreign.is_innocent(receiver.name) and receiver.source is None
