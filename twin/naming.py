"""What a name is bound to: assignments, parameters, imports, loops, handlers."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

from . import foreign
from .hierarchy import Hierarchy
from .model import (
    ANYTHING,
    NEVER,
    TEXT,
    ClassRef,
    Foreign,
    ForeignRef,
    FunctionRef,
    Instance,
    ModuleRef,
    Type,
    Unknown,
    Variable,
    arms,
    either,
    made,
)
from .program import (
    Binding,
    Declared,
    DefinedClass,
    DefinedFunction,
    Imported,
    Module,
    Opaque,
    Parameter,
    Scope,
    Valued,
)

__all__ = ["Naming"]


class Naming(Hierarchy):
    """Answers what type a name has where it is used."""

    def name(self, name: str, scope: Scope, module: Module) -> Type:
        """Give the type of what a name is bound to, as seen from a scope."""
        bindings = scope.find(name)
        if bindings is None:
            if name in ("__name__", "__file__", "__doc__"):
                return TEXT
            if module.enclosing is not None:
                return self._in_example(name, module.enclosing)
            return ForeignRef(f"builtins.{name}")
        declared = [binding for binding in bindings if isinstance(binding, (Declared, Parameter))]
        if declared and not isinstance(declared[0], Parameter):
            return self.bound(declared[0], module)
        if declared and isinstance(declared[0], Parameter) and declared[0].argument.annotation is not None:
            return self.bound(declared[0], module)
        return self.joined(bindings, module)

    def _in_example(self, name: str, enclosing: Module) -> Type:
        """Give the type of a name that an example does not bind: the module's around it, or a conventional one."""
        if name in enclosing.scope.names:
            return self.member(enclosing, name)
        if name in self.project.conventions:
            return self.project.conventions[name]
        return ForeignRef(f"builtins.{name}") if hasattr(builtins, name) else ANYTHING

    def bound(self, binding: Binding, module: Module) -> Type:
        """Give the type of what a binding binds."""
        if isinstance(binding, Imported):
            return self.imported(binding.module, binding.name)
        if isinstance(binding, DefinedFunction):
            return FunctionRef(binding.function)
        if isinstance(binding, DefinedClass):
            return ClassRef(binding.cls)
        if isinstance(binding, Parameter):
            return self._parameter(binding, module)
        if isinstance(binding, Declared):
            kind = self.annotation(binding.annotation, module)
            bare = isinstance(kind, Foreign) and foreign.base_name(kind.name) in (
                "Final",
                "TypeAlias",
                "ClassVar",
            )
            if binding.value is None:
                return kind
            if bare:
                return self.type_of(binding.value, module)
            return self._sourced(kind, binding.value, module)
        if isinstance(binding, Opaque):
            return ANYTHING
        return self._valued(binding, module)

    def operand(self, node: ast.expr, module: Module) -> Type:
        """Give what an operator may make of an operand; anything where a class of ours decides."""
        kind = self.type_of(node, module)
        if any(isinstance(arm, (Instance, Unknown, Variable)) for arm in arms(kind)):
            return ANYTHING
        return kind

    def joined(self, bindings: Sequence[Binding], module: Module) -> Type:
        """Give the type of what several bindings bind, one of which holds."""
        kind = either(self.bound(binding, module) for binding in bindings)
        changed = any(isinstance(binding, Valued) and binding.how == "augmented" for binding in bindings)
        decides = changed and any(isinstance(arm, (Instance, Unknown, Variable)) for arm in arms(kind))
        return ANYTHING if decides else kind

    def _sourced(self, kind: Type, value: ast.expr, module: Module) -> Type:
        """Keep, with an annotated iterator or context manager, the function that made it."""
        if not (isinstance(kind, Foreign) and foreign.base_name(kind.name) in foreign.MADE):
            return kind
        sources = [arm.source for arm in arms(self.type_of(value, module)) if isinstance(arm, Foreign) and arm.source]
        return Foreign(kind.name, kind.args, sources[0]) if sources else kind

    def _valued(self, binding: Valued, module: Module) -> Type:
        kind = self.type_of(binding.value, module)
        if binding.how == "is" and not binding.path and _is_empty_container(binding.value):
            assert isinstance(kind, Foreign)
            return Foreign(kind.name, tuple(ANYTHING for _ in kind.args))
        if binding.how == "augmented":
            return self.operand(binding.value, module)
        if binding.how == "in":
            kind = self.element(kind)
        elif binding.how == "with":
            kind = self.entered(kind)
        elif binding.how == "except":
            refs = kind.args if isinstance(kind, Foreign) else (kind,)
            kind = either(made(arm) for ref in refs for arm in arms(ref))
        for index in binding.path:
            kind = either(self.part(arm, index) for arm in arms(kind))
        return kind

    def _parameter(self, binding: Parameter, module: Module) -> Type:
        function, argument = binding.function, binding.argument
        if function is not None and function.cls is not None and argument.arg == function.bound_parameter:
            cls = function.cls
            return ClassRef(cls, self.own_args(cls)) if function.is_classmethod else Instance(cls, self.own_args(cls))
        if argument.annotation is None:
            if binding.default is not None and not _is_none(binding.default):
                return either([self.type_of(binding.default, module), ANYTHING])
            kind: Type = ANYTHING
        else:
            kind = self.annotation(argument.annotation, module)
        if binding.star == "*":
            return Foreign("builtins.tuple", (kind, Foreign("...")))
        if binding.star == "**":
            return Foreign("builtins.dict", (TEXT, kind))
        return kind

    def imported(self, origin: str, name: str | None) -> Type:
        """Give the type of an imported module or name."""
        source = self.project.module(origin)
        if name is None:
            return ModuleRef(source) if source is not None else ForeignRef(origin)
        if source is None:
            return ForeignRef(f"{origin}.{name}")
        return self.member(source, name)

    def member(self, source: Module, name: str) -> Type:
        bindings = source.scope.names.get(name)
        if bindings is None:
            below = self.project.module(f"{source.name}.{name}")
            return ModuleRef(below) if below is not None else ANYTHING
        if source.role == "primitives" and not any(
            isinstance(binding, (DefinedFunction, DefinedClass, Imported)) for binding in bindings
        ):
            # An alias of something foreign: what stands for it in the other primitives may differ.
            return ForeignRef(f"{source.name}.{name}")
        key = (source.name, name)
        if key in self._active:
            self._cut.add(key)
            return NEVER
        self._active.add(key)
        try:
            return self.joined(bindings, source)
        finally:
            self._active.discard(key)
            self._cut.discard(key)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_empty_container(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Set, ast.Tuple)):
        return not node.elts and not isinstance(node, ast.Tuple)
    return isinstance(node, ast.Dict) and not node.keys
