"""What an ``isinstance`` around or before a use tells about the type of the name that is used."""

from __future__ import annotations

import ast
from typing import Protocol

from . import foreign
from .model import ANYTHING, NEVER, NOTHING, ClassRef, Foreign, ForeignRef, Instance, Type, Unknown, either
from .model import Either as _Either
from .program import Class, Module, dotted

__all__ = ["narrowed"]


class _Types(Protocol):
    def type_of(self, node: ast.expr, module: Module) -> Type: ...

    def mro(self, cls: Class) -> list[Class | str]: ...


def narrowed(types: _Types, node: ast.Name | ast.Attribute, kind: Type, module: Module) -> Type:
    """Give the type of a name where it is used, given its declared type."""
    if not isinstance(kind, (_Either, Unknown)):
        return kind
    key = dotted(node)
    if key is None:
        return kind
    for test, truth in _tests(node, key, module):
        kind = _apply(types, test, truth, key, kind, module)
    return kind


def _tests(node: ast.AST, key: str, module: Module) -> list[tuple[ast.expr, bool]]:
    """Give the conditions known to hold where a node stands, innermost last."""
    found: list[tuple[ast.expr, bool]] = []
    for child, parent in module.ancestors(node):
        if isinstance(parent, (ast.If, ast.While, ast.IfExp)) and child is not parent.test:
            body = parent.body if isinstance(parent.body, list) else [parent.body]
            if _untouched(parent, key):
                found.append((parent.test, child in body))
        elif isinstance(parent, ast.BoolOp) and _untouched(parent, key):
            position = parent.values.index(child) if isinstance(child, ast.expr) else 0
            found.extend((value, isinstance(parent.op, ast.And)) for value in parent.values[:position])
        elif isinstance(parent, ast.comprehension) and child in parent.ifs:
            found.extend((test, True) for test in parent.ifs[: parent.ifs.index(_expr(child))])
        elif _is_comprehension(parent) and not isinstance(child, ast.comprehension):
            found.extend((test, True) for generator in getattr(parent, "generators", ()) for test in generator.ifs)
        for block in _blocks(parent):
            if child in block:
                for statement in reversed(block[: block.index(_stmt(child))]):
                    if not _untouched(statement, key):
                        return found[::-1]
                    found.extend(_after(statement))
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            break
        if isinstance(parent, (ast.stmt, ast.BoolOp)) and not _untouched(parent, key):
            # Another branch, the loop's next round or the body of a `try` may have changed what was known before.
            break
    return found[::-1]


def _is_comprehension(node: ast.AST) -> bool:
    return isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp))


def _expr(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.expr)
    return node


def _stmt(node: ast.AST) -> ast.stmt:
    assert isinstance(node, ast.stmt)
    return node


def _blocks(node: ast.AST) -> list[list[ast.stmt]]:
    blocks = []
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            blocks.append(block)
    return blocks


def _after(statement: ast.stmt) -> list[tuple[ast.expr, bool]]:
    """Give what is known behind a statement of the same block."""
    if isinstance(statement, ast.Assert):
        return [(statement.test, True)]
    if isinstance(statement, ast.If):
        if _leaves(statement.body) and not statement.orelse:
            return [(statement.test, False)]
        if statement.orelse and _leaves(statement.orelse):
            return [(statement.test, True)]
    return []


def _leaves(block: list[ast.stmt]) -> bool:
    return isinstance(block[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))


def _untouched(since: ast.stmt | ast.expr, key: str) -> bool:
    """Tell whether nothing in the statement that is tested, or in it, assigns to the name."""
    for node in ast.walk(since):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            stored = dotted(node)
            if stored is not None and (stored == key or key.startswith(stored + ".")):
                return False
    return True


def _apply(types: _Types, test: ast.expr, truth: bool, key: str, kind: Type, module: Module) -> Type:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _apply(types, test.operand, not truth, key, kind, module)
    if isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.And) == truth:
            for value in test.values:
                kind = _apply(types, value, truth, key, kind, module)
        return kind
    if not (isinstance(test, ast.Call) and dotted(test.func) == "isinstance" and len(test.args) == 2):
        return kind
    if dotted(test.args[0]) != key:
        return kind
    classes = _classes(types, test.args[1], module)
    if classes is None:
        return kind
    options = kind.options if isinstance(kind, _Either) else (kind,)
    if truth:
        return either(kept for option in options for kept in _kept(types, option, classes))
    return either(option for option in options if not _is_one_of(types, option, classes))


def _classes(types: _Types, node: ast.expr, module: Module) -> list[ClassRef | ForeignRef] | None:
    if isinstance(node, ast.Tuple):
        parts = [_classes(types, element, module) for element in node.elts]
    elif isinstance(node, ast.BinOp):
        parts = [_classes(types, node.left, module), _classes(types, node.right, module)]
    else:
        kind = types.type_of(node, module)
        return [kind] if isinstance(kind, (ClassRef, ForeignRef)) else None
    found: list[ClassRef | ForeignRef] = []
    for part in parts:
        if part is None:
            return None
        found.extend(part)
    return found


def _kept(types: _Types, option: Type, classes: list[ClassRef | ForeignRef]) -> list[Type]:
    """Give what is left of one option of a type when the value is an instance of one of the classes."""
    if option in (NEVER, NOTHING):
        return []
    if isinstance(option, Unknown):
        return [Instance(c.cls, c.args) if isinstance(c, ClassRef) else _foreign(c) for c in classes]
    if isinstance(option, Instance):
        for cls in classes:
            if isinstance(cls, ForeignRef):
                # A class of ours is a builtin one only if it says so; others may be structural.
                if cls.name in types.mro(option.cls) or not cls.name.startswith("builtins."):
                    return [option]
                continue
            if cls.cls in types.mro(option.cls):
                return [option]
        narrower = [c for c in classes if isinstance(c, ClassRef) and option.cls in types.mro(c.cls)]
        return [Instance(c.cls, c.args) for c in narrower]
    if isinstance(option, Foreign):
        return [option] if any(isinstance(c, ForeignRef) for c in classes) else []
    return [option]


def _foreign(ref: ForeignRef) -> Type:
    # What a bare container holds stays unknown.
    return Foreign(ref.name) if foreign.is_class_name(ref.name) else ANYTHING


def _is_one_of(types: _Types, option: Type, classes: list[ClassRef | ForeignRef]) -> bool:
    for cls in classes:
        if isinstance(option, Instance) and isinstance(cls, ClassRef) and cls.cls in types.mro(option.cls):
            return True
        if isinstance(option, Foreign) and isinstance(cls, ForeignRef) and option.name == cls.name:
            return True
    return False
