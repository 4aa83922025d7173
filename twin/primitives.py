"""Whether the two hand-written modules of primitives fit together, as far as twinned code uses them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .inference import Inference
from .model import ClassRef, FunctionRef, Instance, ModuleRef, arms
from .problems import Problem
from .program import DefinedClass, DefinedFunction, Function, Imported, Module, dotted
from .project import AWAITABLES, Primitives, Project

__all__ = ["awaits_argument", "primitive_uses", "unmatched"]


def primitive_uses(module: Module, project: Project, inference: Inference) -> Iterator[Problem]:
    """Give the uses of primitives in a module that the asyncio primitives can't serve."""
    uses = _Uses(module, project, inference)
    for node in ast.walk(module.tree):
        for text in uses.examine(node):
            yield Problem(module.path, getattr(node, "lineno", 1) + module.line_offset, text)


class _Uses:
    def __init__(self, module: Module, project: Project, inference: Inference) -> None:
        self.module = module
        self.project = project
        self.inference = inference
        self.primitives = project.primitives

    def examine(self, node: ast.AST) -> Iterator[str]:
        blocking = self.primitives.blocking
        if isinstance(node, ast.ImportFrom):
            if self.module.absolute(node.module, node.level) == blocking.name:
                for alias in node.names:
                    yield from self._name(alias.name)
        elif isinstance(node, ast.Attribute):
            for owner in arms(self.inference.type_of(node.value, self.module)):
                if isinstance(owner, ModuleRef) and owner.module is blocking:
                    yield from self._name(node.attr)
                elif isinstance(owner, (Instance, ClassRef)) and owner.cls.module is blocking:
                    yield from self._member(owner, node.attr)

    def _name(self, name: str) -> Iterator[str]:
        where = self.primitives.asynchronous.path
        if self.primitives.of_name(name).kind == "missing":
            yield f"{name} is missing from {where}; write it there too"
            return
        for binding in self.primitives.blocking.scope.names.get(name, []):
            if isinstance(binding, DefinedFunction):
                yield from self._signature(binding.function)

    def _member(self, owner: Instance | ClassRef, name: str) -> Iterator[str]:
        where = self.primitives.asynchronous.path
        kind = self.primitives.of_member(owner.cls.name, name).kind
        if name.startswith("__") and name.endswith("__"):
            return
        for arm in arms(self.inference.attribute(owner, name)):
            if isinstance(arm, FunctionRef) and arm.function.module is self.primitives.blocking:
                yield from self._signature(arm.function)
        if kind == "missing":
            if not self.has_member(owner.cls.name, name):
                yield f"{owner.cls.name}.{name} is missing from {where}; write it there too"
        elif kind == "waits" and self._is_property(owner, name):
            yield f"{owner.cls.name}.{name} is a property and waits in {where}; make it a method in both"

    def _is_property(self, owner: Instance | ClassRef, name: str) -> bool:
        bound = owner.cls.scope.names.get(name, [])
        return any(isinstance(b, DefinedFunction) and b.function.is_property for b in bound)

    def has_member(self, cls: str, name: str) -> bool:
        """Tell whether a class of the asyncio primitives has a member at all, in itself or a base."""
        for binding in self.primitives.asynchronous.scope.names.get(cls, []):
            if isinstance(binding, Imported):
                return True
            if isinstance(binding, DefinedClass):
                found = binding.cls
                if name in found.scope.names or name in found.fields:
                    return True
                return any(isinstance(base, ast.Name) and self.has_member(base.id, name) for base in found.node.bases)
        return False

    def _signature(self, function: Function) -> Iterator[str]:
        counterpart = self.primitives.of_function(function).function
        if counterpart is None:
            return
        ours, theirs = _parameters(function), _parameters(counterpart)
        if ours != theirs:
            yield (
                f"{function.qualname} takes ({', '.join(ours)}) here and ({', '.join(theirs)}) in "
                f"{self.primitives.asynchronous.path}:{counterpart.node.lineno}; make them the same"
            )


def _parameters(function: Function) -> list[str]:
    arguments = function.node.args
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += sorted(f"{argument.arg}=" for argument in arguments.kwonlyargs)
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return names


def unmatched(project: Project) -> Iterator[Problem]:
    """Give the public coroutines of the asyncio primitives that the blocking ones lack and that nothing uses."""
    primitives = project.primitives
    blocking = {function.qualname for function in primitives.blocking.functions}
    classes = {cls.name for cls in primitives.blocking.classes}
    names = set(primitives.blocking.scope.names)
    used = {n.attr for n in ast.walk(primitives.asynchronous.tree) if isinstance(n, ast.Attribute)}
    used |= {n.id for n in ast.walk(primitives.asynchronous.tree) if isinstance(n, ast.Name)}
    for function in primitives.asynchronous.functions:
        public = not any(part.startswith("_") for part in function.qualname.split("."))
        if not public or not isinstance(function.node, ast.AsyncFunctionDef):
            continue
        owner = function.cls.name if function.cls is not None else ""
        nested = function.qualname not in (function.name, f"{owner}.{function.name}")
        known = function.qualname in blocking or (not owner and function.name in names)
        if not nested and not known and function.name not in used and (not owner or owner in classes):
            yield Problem(
                primitives.asynchronous.path,
                function.node.lineno,
                f"{function.qualname} has no counterpart in {primitives.blocking.path}; write it there, or remove it",
            )


def awaits_argument(primitives: Primitives, function: Function, parameter: str) -> bool | None:
    """Tell whether an asyncio primitive awaits what a callable argument returns; None where it may, or takes none."""
    counterpart = primitives.of_function(function).function
    if counterpart is None:
        return None
    arguments = counterpart.node.args
    found: set[bool] = set()
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == parameter and argument.annotation is not None:
            for node in ast.walk(argument.annotation):
                if isinstance(node, ast.Subscript) and _last(node.value) == "Callable":
                    returns = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
                    found |= {_last(option) in AWAITABLES for option in _options(returns)}
    return found.pop() if len(found) == 1 else None


def _options(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from _options(node.left)
        yield from _options(node.right)
    elif not (isinstance(node, ast.Constant) and node.value is None):
        yield node.value if isinstance(node, ast.Subscript) else node


def _last(node: ast.expr) -> str:
    return (dotted(node) or "").rpartition(".")[2]
