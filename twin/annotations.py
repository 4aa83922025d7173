"""What an annotation stands for: names, aliases, quoted forms, generics, ``Waitable``."""

from __future__ import annotations

import ast

from . import foreign
from .model import (
    ANYTHING,
    NEVER,
    NOTHING,
    OPAQUE,
    SELF,
    CallableOf,
    ClassRef,
    Foreign,
    ForeignRef,
    Instance,
    ModuleRef,
    Type,
    Variable,
    either,
    options,
)
from .program import Declared, Imported, Module, Valued
from .questions import Questions

__all__ = ["Annotations"]


class Annotations(Questions):
    """Answers what type an annotation stands for."""

    def annotation(self, node: ast.expr, module: Module) -> Type:
        """Give the type an annotation stands for."""
        if isinstance(node, ast.Constant):
            if node.value is None:
                return NOTHING
            if isinstance(node.value, str):
                return self.annotation(self._quoted(node, module), module)
            return Foreign("...") if node.value is ... else ANYTHING
        if isinstance(node, ast.BinOp):
            return either([self.annotation(node.left, module), self.annotation(node.right, module)])
        if isinstance(node, ast.Subscript):
            return self._generic(node, module)
        if isinstance(node, ast.List):
            return OPAQUE
        if not isinstance(node, (ast.Name, ast.Attribute)):
            return ANYTHING
        variable = self._variable(node, module)
        if variable is not None:
            return variable
        alias = self._alias(node, module)
        if alias is not None:
            return alias
        return either(self._as_type(arm) for arm in options(self.type_of(node, module)))

    def _as_type(self, arm: Type) -> Type:
        if isinstance(arm, ClassRef):
            return Instance(arm.cls, arm.args)
        if isinstance(arm, ForeignRef):
            last = foreign.base_name(arm.name)
            if last == "Self":
                return SELF
            if last in ("Any", "object"):
                return ANYTHING
            if last in ("NoReturn", "Never"):
                return NEVER
            return Foreign(arm.name)
        return ANYTHING

    def _quoted(self, node: ast.Constant, module: Module) -> ast.expr:
        parsed = module.quoted.get(node)
        if parsed is None:
            try:
                parsed = ast.parse(str(node.value).strip(), mode="eval").body
            except SyntaxError:
                parsed = ast.Constant(value=None)
            module.adopt(parsed, module.scopes[node], node)
            module.quoted[node] = parsed
        return parsed

    def _variable(self, node: ast.expr, module: Module) -> Variable | None:
        """Give the type variable a name stands for."""
        if not isinstance(node, ast.Name):
            return None
        for binding in module.scopes[node].find(node.id) or ():
            if isinstance(binding, Valued) and isinstance(binding.value, ast.Call):
                maker = self.type_of(binding.value.func, module)
                if isinstance(maker, ForeignRef) and foreign.base_name(maker.name) in (
                    "TypeVar",
                    "ParamSpec",
                ):
                    return Variable(node.id)
        return None

    def _alias(self, node: ast.expr, module: Module) -> Type | None:
        """Give the type an alias of the project such as ``Wire = A | B`` stands for."""
        origin, name = module, ""
        if isinstance(node, ast.Name):
            bindings = module.scopes[node].find(node.id) or []
            name = node.id
            for _ in range(8):
                imported = next((binding for binding in bindings if isinstance(binding, Imported)), None)
                source = self.project.module(imported.module) if imported is not None else None
                if imported is None or imported.name is None or source is None:
                    break
                origin, name = source, imported.name
                bindings = source.scope.names.get(name, [])
        else:
            assert isinstance(node, ast.Attribute)
            owner = self.type_of(node.value, module)
            if not isinstance(owner, ModuleRef):
                return None
            origin, name = owner.module, node.attr
            bindings = origin.scope.names.get(name, [])
        if origin.role == "primitives":
            return None
        for binding in bindings:
            value = binding.value if isinstance(binding, (Valued, Declared)) else None
            if value is not None and isinstance(
                value, (ast.BinOp, ast.Subscript, ast.Name, ast.Attribute, ast.Constant)
            ):
                key = ("alias", origin.name, name)
                if key in self._active:
                    return ANYTHING
                self._active.add(key)
                try:
                    return self.annotation(value, origin)
                finally:
                    self._active.discard(key)
        return None

    def subscripts(self, node: ast.Subscript, module: Module) -> tuple[Type, ...]:
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return tuple(self.annotation(part, module) for part in parts)

    def _generic(self, node: ast.Subscript, module: Module) -> Type:
        outer = self.type_of(node.value, module)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if isinstance(outer, ClassRef):
            return Instance(outer.cls, self.subscripts(node, module))
        if not isinstance(outer, ForeignRef):
            return ANYTHING
        last = foreign.base_name(outer.name)
        if self.is_waitable(outer) or last in (
            "Annotated",
            "Final",
            "ClassVar",
            "Required",
            "NotRequired",
            "InitVar",
        ):
            return self.annotation(parts[0], module)
        if last == "Optional":
            return either([self.annotation(parts[0], module), NOTHING])
        if last == "Union":
            return either(self.annotation(part, module) for part in parts)
        if last == "Literal":
            return either(self.type_of(part, module) for part in parts)
        if last in ("type", "Type"):
            inner = self.annotation(parts[0], module)
            return either(
                ClassRef(arm.cls, arm.args) if isinstance(arm, Instance) else Foreign("builtins.type", (arm,))
                for arm in options(inner)
            )
        if last == "Callable" and len(parts) == 2:
            return CallableOf(self.annotation(parts[1], module), self.is_waitable_annotation(parts[1], module))
        return Foreign(outer.name, self.subscripts(node, module))

    def is_cast(self, kind: Type) -> bool:
        """Tell whether a value is ``typing.cast``."""
        return isinstance(kind, ForeignRef) and kind.name in ("typing.cast", "typing_extensions.cast")

    def is_waitable(self, kind: Type) -> bool:
        """Tell whether a type constructor is the primitives' ``Waitable``."""
        return isinstance(kind, ForeignRef) and kind.name == f"{self.project.primitives.blocking.name}.Waitable"

    def is_waitable_annotation(self, node: ast.expr | None, module: Module) -> bool:
        """Tell whether an annotation is ``Waitable[...]``, quoted or not."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = self._quoted(node, module)
        return isinstance(node, ast.Subscript) and self.is_waitable(self.type_of(node.value, module))
