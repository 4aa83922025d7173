"""What waits: from the primitives' coroutines through every caller, to a fixpoint."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from . import foreign
from .inference import Inference
from .model import CallableOf, Foreign, ForeignRef, FunctionRef, Instance, Type, Unknown, Variable, arms
from .program import Class, DefinedFunction, Function, Module, Place
from .project import DUNDERS, Kind, Project

__all__ = ["Verdict", "Waits"]

# Whether something waits: an empty set where nothing is known, both where it depends.
Verdict = frozenset[bool]

_YES: Verdict = frozenset({True})
_NO: Verdict = frozenset({False})


class Waits:
    """Answers what waits in a project, once `solve` has run.

    Attributes:
        coroutines: the functions that become ``async def``.
        forwarding: the plain functions that return an iterator or a context manager that waits.
        open_ended: the functions annotated ``-> Waitable[...]``: plain, and their callers await them.
    """

    def __init__(self, project: Project, inference: Inference) -> None:
        self.project = project
        self.inference = inference
        self.coroutines: set[Function] = set()
        self.forwarding: set[Function] = set()
        self.open_ended: set[Function] = set()
        self._kinds: dict[Function, Kind] = {}
        self._places: dict[ast.AST, Place] = {}

    # Functions -----------------------------------------------------------------------------------------

    def call_waits(self, function: Function) -> bool:
        """Tell whether a call of the function has to be awaited."""
        if function.module.role == "primitives":
            return self.kind(function) == "waits"
        if function in self.open_ended:
            return True
        return function in self.coroutines and not function.is_generator

    def gives_waiting(self, function: Function) -> bool:
        """Tell whether what the function returns waits when it is iterated over or entered."""
        if function.module.role == "primitives":
            return self.kind(function) == "iterates" or (function.is_manager and self.kind(function) == "waits")
        return function in self.forwarding or (function in self.coroutines and function.is_generator)

    def waits_at_all(self, function: Function) -> bool:
        return self.call_waits(function) or self.gives_waiting(function)

    def kind(self, function: Function) -> Kind:
        """Tell what the asyncio counterpart of a primitive does."""
        if function not in self._kinds:
            self._kinds[function] = self.project.primitives.of_function(function).kind
        return self._kinds[function]

    # Values --------------------------------------------------------------------------------------------

    def calling(self, callee: Type) -> Verdict:
        """Tell whether calling a value waits."""
        found: set[bool] = set()
        for arm in arms(callee):
            if isinstance(arm, FunctionRef):
                found.add(self.call_waits(arm.function))
            elif isinstance(arm, CallableOf):
                found.add(arm.waits)
            elif isinstance(arm, Instance):
                found |= self.calling(self.inference.attribute(arm, "__call__"))
            elif isinstance(arm, ForeignRef) and (name := self.alias(arm.name)):
                found.add(self.project.primitives.of_name(name).kind == "waits")
            elif not isinstance(arm, (Unknown, Variable)):
                found.add(False)
        return frozenset(found)

    def iterating(self, kind: Type) -> Verdict:
        """Tell whether iterating over a value waits."""
        found: set[bool] = set()
        for arm in arms(kind):
            if isinstance(arm, Foreign):
                found.add(arm.source is not None and self.gives_waiting(arm.source))
            elif isinstance(arm, Instance):
                found |= self._instance_iterates(arm)
            elif not isinstance(arm, (Unknown, Variable)):
                found.add(False)
        return frozenset(found)

    def _instance_iterates(self, arm: Instance) -> Verdict:
        for name in ("__iter__", "__next__"):
            for method in arms(self.inference.attribute(arm, name)):
                if isinstance(method, FunctionRef) and self.waits_at_all(method.function):
                    return _YES
        return _NO

    def entering(self, kind: Type) -> Verdict:
        """Tell whether entering a context manager waits."""
        found: set[bool] = set()
        for arm in arms(kind):
            if isinstance(arm, Foreign) and arm.source is not None:
                found.add(self.gives_waiting(arm.source))
            elif isinstance(arm, Foreign) and (name := self.alias(arm.name)):
                found.add(self.project.primitives.of_member(name, "__enter__").kind == "waits")
            elif isinstance(arm, Instance):
                methods = [*arms(self.inference.attribute(arm, "__enter__"))]
                methods += [*arms(self.inference.attribute(arm, "__exit__"))]
                found.add(any(isinstance(m, FunctionRef) and self.call_waits(m.function) for m in methods))
            elif not isinstance(arm, (Unknown, Variable)):
                found.add(False)
        return frozenset(found)

    def alias(self, name: str) -> str | None:
        """Give the primitives' own name for something foreign that they offer, such as a lock."""
        module, _, last = name.rpartition(".")
        return last if module == self.project.primitives.blocking.name else None

    @cached_property
    def some_instances_call(self) -> bool:
        """Whether there is any class that waits when called; asked only after `solve`."""
        return any(
            True in self.calling(Instance(cls)) for cls in self._classes() if self.inference.has(cls, "__call__")
        )

    @cached_property
    def some_instances_iterate(self) -> bool:
        """Whether there is any class that waits when iterated over; asked only after `solve`."""
        return any(self._instance_iterates(Instance(cls)) == _YES for cls in self._classes())

    @cached_property
    def some_instances_enter(self) -> bool:
        """Whether there is any class that waits when entered; asked only after `solve`."""
        return any(self.entering(Instance(cls)) == _YES for cls in self._classes())

    @cached_property
    def names(self) -> frozenset[str]:
        """The names under which something waits; asked only after `solve`."""
        functions = [function for module in self._modules() for function in module.functions]
        return frozenset(
            function.name
            for function in functions
            if self.waits_at_all(function) and not (function.name.startswith("__") and function.name.endswith("__"))
        )

    # The fixpoint --------------------------------------------------------------------------------------

    def place(self, node: ast.AST, module: Module) -> Place:
        if node not in self._places:
            self._places[node] = module.place(node)
        return self._places[node]

    def solve(self) -> None:
        """Find out what waits."""
        modules = [*self.project.twinned, *self.project.examples]
        for module in modules:
            for function in module.functions:
                if any(
                    self.inference.is_waitable_annotation(each.node.returns, module)
                    for each in (function, *function.overloads)
                ):
                    self.open_ended.add(function)
        nodes = [
            (node, module)
            for module in modules
            for node in ast.walk(module.tree)
            if isinstance(node, (ast.Call, ast.With, ast.For, ast.comprehension))
        ]
        before = -1
        while before != (before := len(self.coroutines) + len(self.forwarding)):
            for node, module in nodes:
                if self.waits_here(node, module):
                    self._mark(self.place(node, module).function)
            for module in modules:
                self._forward(module)
            self._agree()

    def waits_here(self, node: ast.AST, module: Module) -> bool:
        """Tell whether a call, with or for waits where it stands."""
        type_of = self.inference.type_of
        if isinstance(node, ast.Call):
            return True in self.calling(type_of(node.func, module)) or self.advances(node, module)
        if isinstance(node, ast.With):
            return any(True in self.entering(type_of(item.context_expr, module)) for item in node.items)
        if isinstance(node, (ast.For, ast.comprehension)):
            return True in self.iterating(type_of(node.iter, module))
        return False

    def advances(self, node: ast.Call, module: Module) -> bool:
        """Tell whether a call is ``next()`` on an iterator that waits."""
        return (
            self.inference.type_of(node.func, module) == ForeignRef("builtins.next")
            and bool(node.args)
            and True in self.iterating(self.inference.type_of(node.args[0], module))
        )

    def _mark(self, function: Function | None) -> None:
        if function is not None and function not in self.open_ended:
            self.coroutines.add(function)

    def _forward(self, module: Module) -> None:
        """Mark the functions that return, or declare to return, an iterator that waits."""
        for function in module.functions:
            if function.is_generator or function in self.forwarding:
                continue
            for statement in function.own_returns:
                if statement.value is None or self._in_lambda(statement, module):
                    continue
                if self.is_waiting_object(self.inference.type_of(statement.value, module)):
                    self.forwarding.add(function)

    def _in_lambda(self, statement: ast.Return, module: Module) -> bool:
        return self.place(statement, module).obstacle is not None

    def is_waiting_object(self, kind: Type) -> bool:
        """Tell whether a value is a foreign iterator or context manager made by a function of ours that waits."""
        return any(
            isinstance(arm, Foreign) and arm.source is not None and self.gives_waiting(arm.source) for arm in arms(kind)
        )

    def _agree(self) -> None:
        """Carry waiting from overriding methods to what they implement, and between paired methods."""
        for overriding, overridden in self.overrides:
            if overridden.module.role != "twinned" or not overridden.is_stub:
                continue
            if self.call_waits(overriding):
                self._mark(overridden)
            elif self.gives_waiting(overriding):
                self.forwarding.add(overridden)
        for cls in self._twinned_classes():
            self._pair(cls)

    def _pair(self, cls: Class) -> None:
        own = {name: _own_method(cls, name) for name in DUNDERS}
        every = {name: self._method(cls, name) for name in DUNDERS}
        managing = (every["__enter__"], every["__exit__"])
        if any(function is not None and self.call_waits(function) for function in managing):
            self._mark(own["__enter__"])
            self._mark(own["__exit__"])
        following = every["__next__"]
        iterator = own["__iter__"]
        if iterator is None or iterator.is_generator:
            return
        if following is not None and self.call_waits(following):
            self.forwarding.add(iterator)

    def _method(self, cls: Class, name: str) -> Function | None:
        for owner in self.inference.mro(cls):
            found = _own_method(owner, name) if isinstance(owner, Class) else None
            if found is not None:
                return found
        return None

    # Class hierarchies ---------------------------------------------------------------------------------

    @cached_property
    def overrides(self) -> list[tuple[Function, Function]]:
        """Pairs of a method and one it overrides or, for a protocol, implements."""
        pairs: dict[tuple[Function, Function], None] = {}
        classes = list(self._classes())
        for cls in classes:
            for base in self.inference.mro(cls)[1:]:
                if isinstance(base, Class):
                    for function in _own_methods(cls):
                        overridden = _own_method(base, function.name)
                        if overridden is not None:
                            pairs[function, overridden] = None
        for protocol in classes:
            if self.is_protocol(protocol):
                for pair in self._implementations(protocol, classes):
                    pairs[pair] = None
        return list(pairs)

    def is_protocol(self, cls: Class) -> bool:
        return any(isinstance(b, str) and foreign.base_name(b) == "Protocol" for b in self.inference.bases(cls))

    def _implementations(self, protocol: Class, classes: list[Class]) -> Iterator[tuple[Function, Function]]:
        members = {
            name
            for owner in self.inference.mro(protocol)
            if isinstance(owner, Class)
            for name in owner.scope.names
            if not (name.startswith("__") and name not in DUNDERS and name != "__call__")
        }
        if not members:
            return
        for cls in classes:
            if cls is protocol or self.is_protocol(cls) or not all(self.inference.has(cls, name) for name in members):
                continue
            for name in members:
                declared, implementing = self._method(protocol, name), self._method(cls, name)
                if declared is not None and implementing is not None:
                    yield implementing, declared

    def _modules(self) -> Iterator[Module]:
        yield self.project.primitives.blocking
        yield from self.project.twinned

    def _classes(self) -> Iterator[Class]:
        """Give all classes, also of shared modules: a protocol there may be implemented by something that waits."""
        for module in list(self.project.known.values()):
            if module is not None:
                yield from module.classes

    def _twinned_classes(self) -> Iterator[Class]:
        for module in self.project.twinned:
            yield from module.classes


def _own_methods(cls: Class) -> Iterator[Function]:
    for bindings in cls.scope.names.values():
        for binding in bindings:
            if isinstance(binding, DefinedFunction):
                yield binding.function


def _own_method(cls: Class, name: str) -> Function | None:
    for binding in cls.scope.names.get(name, []):
        if isinstance(binding, DefinedFunction):
            return binding.function
    return None
