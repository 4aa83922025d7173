"""A class's bases and what its type variables stand for."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from . import foreign
from .containers import Containers
from .model import (
    NOTHING,
    CallableOf,
    ClassRef,
    Either,
    Foreign,
    ForeignRef,
    Instance,
    Type,
    Variable,
    arms,
    either,
    made,
)
from .program import Class

__all__ = ["Hierarchy", "has_variables"]


class Hierarchy(Containers):
    """Answers what a class inherits, and with which types in place of its variables."""

    def mro(self, cls: Class) -> list[Class | str]:
        """Give a class and its bases, nearest first; foreign ones by name."""
        found: list[Class | str] = [cls]
        for base in self.bases(cls):
            for ancestor in self.mro(base) if isinstance(base, Class) and base is not cls else [base]:
                if ancestor in found:
                    found.remove(ancestor)
                found.append(ancestor)
        return found

    def has(self, cls: Class, name: str) -> bool:
        """Tell whether a class or a base of it in the project defines an attribute."""
        return any(
            isinstance(owner, Class) and (name in owner.scope.names or name in owner.fields) for owner in self.mro(cls)
        )

    def bases(self, cls: Class) -> list[Class | str]:
        found: list[Class | str] = []
        for base in cls.node.bases:
            target = base.value if isinstance(base, ast.Subscript) else base
            kind = self.type_of(target, cls.module)
            if isinstance(kind, ClassRef):
                found.append(kind.cls)
            elif isinstance(kind, ForeignRef):
                found.append(kind.name)
            else:
                found.append("?")
        return found

    def variables(self, cls: Class) -> list[str]:
        names: list[str] = []
        for base in cls.node.bases:
            if isinstance(base, ast.Subscript):
                for arm in ast.walk(base.slice):
                    if isinstance(arm, ast.Name) and isinstance(self.annotation(arm, cls.module), Variable):
                        names.append(arm.id)
        return list(dict.fromkeys(names))

    def own_args(self, cls: Class) -> tuple[Type, ...]:
        return tuple(Variable(name) for name in self.variables(cls))

    def class_map(self, owner: Instance, cls: Class) -> dict[str, Type]:
        if not self.variables(cls):
            return {}
        if owner.cls is cls:
            return dict(zip(self.variables(cls), owner.args, strict=False)) if owner.args else {}
        for base in owner.cls.node.bases:
            target = base.value if isinstance(base, ast.Subscript) else base
            kind = self.type_of(target, owner.cls.module)
            if isinstance(kind, ClassRef) and cls in self.mro(kind.cls):
                args = self.subscripts(base, owner.cls.module) if isinstance(base, ast.Subscript) else ()
                mine = dict(zip(self.variables(owner.cls), owner.args, strict=False))
                args = tuple(self.substitute(arg, mine) for arg in args)
                return self.class_map(Instance(kind.cls, args), cls)
        return {}

    def substitute(self, kind: Type, by: Mapping[str, Type]) -> Type:
        if not by:
            return kind
        if isinstance(kind, Variable):
            return by.get(kind.name, kind)
        if isinstance(kind, Foreign) and kind.args:
            return Foreign(kind.name, tuple(self.substitute(arg, by) for arg in kind.args), kind.source)
        if isinstance(kind, Instance) and kind.args:
            return Instance(kind.cls, tuple(self.substitute(arg, by) for arg in kind.args))
        if isinstance(kind, ClassRef) and kind.args:
            return ClassRef(kind.cls, tuple(self.substitute(arg, by) for arg in kind.args))
        if isinstance(kind, CallableOf):
            return CallableOf(self.substitute(kind.result, by), kind.waits)
        if isinstance(kind, Either):
            return either(self.substitute(arm, by) for arm in kind.options)
        return kind

    def unify(self, pattern: Type, actual: Type, found: dict[str, list[Type]]) -> None:
        """Collect what the type variables of a parameter's type stand for, given an argument's type."""
        if isinstance(pattern, Variable):
            found.setdefault(pattern.name, []).append(actual)
        elif isinstance(pattern, Either):
            for option in pattern.options:
                if isinstance(option, (Variable, CallableOf)) or option != NOTHING:
                    self.unify(option, either(arms(actual)), found)
        elif isinstance(pattern, CallableOf):
            for arm in arms(actual):
                self.unify(pattern.result, self.result_of(arm), found)
        elif isinstance(pattern, Foreign) and pattern.args:
            if foreign.is_mapping(pattern.name):
                self.unify(pattern.args[0], self.mapped(actual, 0), found)
                if len(pattern.args) > 1:
                    self.unify(pattern.args[1], self.mapped(actual, 1), found)
            elif foreign.base_name(pattern.name) in ("type", "Type"):
                for arm in arms(actual):
                    self.unify(pattern.args[0], made(arm), found)
            elif foreign.is_iterable_of_first(pattern.name):
                self.unify(pattern.args[0], self.element(actual), found)
        elif isinstance(pattern, (Instance, ClassRef)) and pattern.args:
            for arm in arms(actual):
                if isinstance(arm, (Instance, ClassRef)) and arm.cls is pattern.cls:
                    for mine, theirs in zip(pattern.args, arm.args, strict=False):
                        self.unify(mine, theirs, found)


def has_variables(kind: Type) -> bool:
    """Tell whether a type has variables in it that can be filled in."""
    if isinstance(kind, Variable):
        return True
    if isinstance(kind, (Foreign, Instance, ClassRef)):
        return any(has_variables(arg) for arg in kind.args)
    if isinstance(kind, CallableOf):
        return has_variables(kind.result)
    return isinstance(kind, Either) and any(has_variables(arm) for arm in kind.options)
