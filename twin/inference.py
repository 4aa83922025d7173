"""The type of an expression, as far as annotations, constructor calls and assignments tell it."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .calls import Calls
from .model import (
    ANYTHING,
    NEVER,
    NOTHING,
    TEXT,
    TRUTH,
    CallableOf,
    Foreign,
    Type,
    arms,
    either,
)
from .narrowing import narrowed
from .program import Module

__all__ = ["Inference"]


class Inference(Calls):
    """Answers what type an expression has: the whole of the inference."""

    def type_of(self, node: ast.expr, module: Module) -> Type:
        """Give the type of an expression of a module."""
        if node in self._known:
            return self._known[node]
        if node in self._active:
            self._cut.add(node)
            return NEVER
        self._active.add(node)
        try:
            kind = self._expression(node, module)
            if isinstance(node, (ast.Name, ast.Attribute)):
                kind = narrowed(self, node, kind, module)
        finally:
            self._active.discard(node)
            self._cut.discard(node)
        if not self._cut:
            self._known[node] = kind
        return kind

    def _expression(self, node: ast.expr, module: Module) -> Type:
        if isinstance(node, ast.Constant):
            return NOTHING if node.value is None else Foreign(f"builtins.{type(node.value).__name__}")
        if isinstance(node, ast.Name):
            return self.name(node.id, module.scopes[node], module)
        if isinstance(node, ast.Attribute):
            return either(self.attribute(arm, node.attr) for arm in arms(self.type_of(node.value, module)))
        if isinstance(node, ast.Call):
            return self._call(node, module)
        if isinstance(node, ast.Await):
            return self.type_of(node.value, module)
        if isinstance(node, ast.IfExp):
            return either([self.type_of(node.body, module), self.type_of(node.orelse, module)])
        if isinstance(node, ast.BoolOp):
            return either(self.type_of(value, module) for value in node.values)
        if isinstance(node, ast.NamedExpr):
            return self.type_of(node.value, module)
        if isinstance(node, (ast.List, ast.Set)):
            name = "builtins.list" if isinstance(node, ast.List) else "builtins.set"
            return Foreign(name, (self._elements(node.elts, module),))
        if isinstance(node, ast.Tuple):
            if any(isinstance(element, ast.Starred) for element in node.elts):
                return Foreign("builtins.tuple", (self._elements(node.elts, module), Foreign("...")))
            return Foreign("builtins.tuple", tuple(self.type_of(element, module) for element in node.elts))
        if isinstance(node, ast.Dict):
            values = [
                self.type_of(value, module) if key is not None else self.mapped(self.type_of(value, module), 1)
                for key, value in zip(node.keys, node.values, strict=True)
            ]
            keys = [self.type_of(key, module) for key in node.keys if key is not None]
            return Foreign("builtins.dict", (either(keys), either(values)))
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            name = {ast.ListComp: "builtins.list", ast.SetComp: "builtins.set"}.get(type(node), "typing.Generator")
            return Foreign(name, (self.type_of(node.elt, module),))
        if isinstance(node, ast.DictComp):
            return Foreign("builtins.dict", (self.type_of(node.key, module), self.type_of(node.value, module)))
        if isinstance(node, ast.Subscript):
            return either(self.item(arm, node, module) for arm in arms(self.type_of(node.value, module)))
        if isinstance(node, ast.Lambda):
            return CallableOf(self.type_of(node.body, module))
        if isinstance(node, ast.Compare):
            return TRUTH
        if isinstance(node, ast.JoinedStr):
            return TEXT
        if isinstance(node, ast.UnaryOp):
            return TRUTH if isinstance(node.op, ast.Not) else self.operand(node.operand, module)
        if isinstance(node, ast.BinOp):
            return either([self.operand(node.left, module), self.operand(node.right, module)])
        return ANYTHING

    def _elements(self, nodes: Iterable[ast.expr], module: Module) -> Type:
        return either(
            self.element(self.type_of(node.value, module))
            if isinstance(node, ast.Starred)
            else self.type_of(node, module)
            for node in nodes
        )
