"""The attributes of instances, classes, modules and foreign things."""

from __future__ import annotations

from collections.abc import Sequence

from . import foreign
from .model import (
    ANYTHING,
    NEVER,
    OPAQUE,
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
    either,
    options,
)
from .naming import Naming
from .program import Class, Declared

__all__ = ["Attributes"]


class Attributes(Naming):
    """Answers what type an attribute has."""

    def attribute(self, owner: Type, name: str) -> Type:
        """Give the type of an attribute of a value."""
        if isinstance(owner, Instance):
            return self._instance_attribute(owner, owner, name, self.mro(owner.cls))
        if isinstance(owner, ClassRef):
            return self._class_attribute(owner, name, self.mro(owner.cls))
        if isinstance(owner, Parent):
            me: Type = ClassRef(owner.cls) if owner.of_class else Instance(owner.cls, self.own_args(owner.cls))
            rest = self.mro(owner.cls)[1:]
            if isinstance(me, ClassRef):
                return self._class_attribute(me, name, rest)
            assert isinstance(me, Instance)
            return self._instance_attribute(me, me, name, rest)
        if isinstance(owner, ModuleRef):
            return self.member(owner.module, name)
        if isinstance(owner, ForeignRef):
            return ForeignRef(f"{owner.name}.{name}")
        if isinstance(owner, Foreign):
            return ForeignAttribute(owner, name)
        if isinstance(owner, ForeignAttribute):
            return self.attribute(self.value_of(owner), name)
        if isinstance(owner, (FunctionRef, CallableOf)):
            return OPAQUE
        return ANYTHING

    def _instance_attribute(self, owner: Instance, receiver: Type, name: str, classes: Sequence[Class | str]) -> Type:
        for cls in classes:
            if isinstance(cls, str):
                if not foreign.is_harmless_base(cls) or cls == "builtins.object":
                    return ForeignAttribute(Foreign(cls), name)
                continue
            kind = self.in_class(cls, name)
            if kind is None:
                continue
            kind = self.substitute(kind, self.class_map(owner, cls))
            return either(self._bind(arm, receiver) for arm in options(kind))
        harmless = [cls for cls in classes if isinstance(cls, str)]
        if any(base.rpartition(".")[2].endswith(("Error", "Exception", "Warning")) for base in harmless):
            return ForeignAttribute(Foreign("builtins.Exception"), name)
        if name in ("__class__",):
            return ClassRef(owner.cls)
        if hasattr(object, name):
            return ForeignAttribute(Foreign("builtins.object"), name)
        return ANYTHING

    def _class_attribute(self, owner: ClassRef, name: str, classes: Sequence[Class | str]) -> Type:
        for cls in classes:
            if isinstance(cls, str):
                continue
            kind = self.in_class(cls, name)
            if kind is None:
                continue
            bound: list[Type] = []
            for arm in options(kind):
                if isinstance(arm, FunctionRef) and arm.function.cls is not None and arm.receiver is None:
                    function = arm.function
                    bound.append(FunctionRef(function, owner if function.is_classmethod else None))
                else:
                    bound.append(self._bind(arm, owner))
            return either(bound)
        return OPAQUE if any(isinstance(cls, str) for cls in classes) or name.startswith("__") else ANYTHING

    def in_class(self, cls: Class, name: str) -> Type | None:
        """Give the type of an attribute that a class itself defines, None where it does not."""
        key = (cls, name)
        if key in self._active:
            self._cut.add(key)
            return NEVER
        self._active.add(key)
        try:
            body = cls.scope.names.get(name, [])
            fields = cls.fields.get(name, [])
            for binding in (*body, *fields):
                if isinstance(binding, Declared):
                    return self.bound(binding, cls.module)
            if body or fields:
                return self.joined([*body, *fields], cls.module)
            return None
        finally:
            self._active.discard(key)
            self._cut.discard(key)

    def _bind(self, arm: Type, receiver: Type) -> Type:
        if isinstance(arm, Instance) and self.has(arm.cls, "__get__"):
            return ANYTHING
        if not isinstance(arm, FunctionRef) or arm.function.cls is None or arm.receiver is not None:
            return arm
        function = arm.function
        if function.is_property:
            return self.returned(function, receiver, None, None)
        if function.is_static:
            return arm
        if function.is_classmethod and isinstance(receiver, Instance):
            return FunctionRef(function, ClassRef(receiver.cls, receiver.args))
        return FunctionRef(function, receiver)
