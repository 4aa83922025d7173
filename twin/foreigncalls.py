"""What a call of foreign code gives: builtins, container methods, and what may pass ours on."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from . import foreign
from .attributes import Attributes
from .model import (
    ANYTHING,
    NEVER,
    NOTHING,
    OPAQUE,
    TEXT,
    TRUTH,
    ClassRef,
    Foreign,
    ForeignAttribute,
    Instance,
    Parent,
    Type,
    arms,
    either,
)
from .program import Module

__all__ = ["ForeignCalls"]


class ForeignCalls(Attributes):
    """Answers what a call of something that is not of the project gives."""

    def foreign_call(self, name: str, node: ast.Call, module: Module) -> Type:
        last = foreign.base_name(name)
        given = [self.type_of(argument, module) for argument in node.args]
        if last == "cast" and len(node.args) == 2:
            return self.annotation(node.args[0], module)
        if last == "super":
            function = module.scopes[node].function
            while function is not None and function.cls is None:
                outer = function.scope.parent
                function = outer.function if outer else None
            if function is None or function.cls is None:
                return ANYTHING
            return Parent(function.cls, function.is_classmethod)
        if name in foreign.PASSING_ON and given:
            return given[0]
        if name.startswith("builtins."):
            special = self._builtin_call(last, given)
            if special is not None:
                return special
        if name == "collections.deque":
            return Foreign(name, (self.element(given[0]) if given else ANYTHING,))
        if foreign.is_sync_manager(name):
            return OPAQUE
        if foreign.hides_names(name):
            return ANYTHING
        keywords = [self.type_of(keyword.value, module) for keyword in node.keywords]
        if any(self.is_ours(kind) for kind in (*given, *keywords)):
            exception = name.startswith("builtins.") and last.endswith(("Error", "Exception", "Warning"))
            return Foreign(name) if exception or foreign.is_innocent(name) else ANYTHING
        return Foreign(name) if foreign.is_class_name(name) else OPAQUE

    def _builtin_call(self, last: str, given: Sequence[Type]) -> Type | None:
        first = given[0] if given else NEVER
        if last == "type" and len(given) == 1:
            return either(ClassRef(arm.cls, arm.args) if isinstance(arm, Instance) else ANYTHING for arm in arms(first))
        if last in ("list", "set", "frozenset", "sorted", "reversed", "tuple"):
            element = self.element(first) if given else ANYTHING
            if last == "tuple":
                return Foreign("builtins.tuple", (element, Foreign("...")))
            return Foreign("builtins.list" if last in ("sorted", "reversed") else f"builtins.{last}", (element,))
        if last == "dict":
            if not given:
                return Foreign("builtins.dict", (TEXT, ANYTHING))
            return Foreign("builtins.dict", (self.mapped(first, 0), self.mapped(first, 1)))
        if last == "enumerate":
            pair = Foreign("builtins.tuple", (Foreign("builtins.int"), self.element(first)))
            return Foreign("typing.Iterator", (pair,))
        if last == "zip":
            return Foreign("typing.Iterator", (Foreign("builtins.tuple", tuple(map(self.element, given))),))
        if last == "filter" and len(given) == 2:
            return Foreign("typing.Iterator", (self.element(given[1]),))
        if last == "map" and given:
            return Foreign("typing.Iterator", (either(self.result_of(arm) for arm in arms(first)),))
        if last == "iter" and len(given) == 1:
            source = next((arm.source for arm in arms(first) if isinstance(arm, Foreign)), None)
            iterators = [self.iterated(arm) for arm in arms(first) if isinstance(arm, Instance)]
            return either(iterators) if iterators else Foreign("typing.Iterator", (self.element(first),), source)
        if last == "next":
            return either([self.next_of(first), *given[1:]])
        if last in ("min", "max"):
            return self.element(first) if len(given) == 1 else either(given)
        if last in ("isinstance", "callable", "hasattr", "any", "all", "issubclass"):
            return TRUTH
        if last in ("str", "repr", "format", "ascii", "chr", "hex", "input"):
            return TEXT
        if last in (
            "int",
            "float",
            "len",
            "id",
            "hash",
            "ord",
            "abs",
            "round",
            "bytes",
            "bool",
            "sum",
            "range",
        ):
            return Foreign(f"builtins.{last}" if last in ("float", "bytes", "bool", "range") else "builtins.int")
        return None

    def foreign_method(self, callee: ForeignAttribute, node: ast.Call, module: Module) -> Type:
        receiver, name = callee.receiver, callee.name
        last = foreign.base_name(receiver.name)
        args = receiver.args
        if receiver.name == "builtins.str":
            return {"split": Foreign("builtins.list", (TEXT,)), "encode": Foreign("builtins.bytes")}.get(name, TEXT)
        if foreign.is_mapping(receiver.name) and len(args) == 2:
            if name in ("get", "pop", "setdefault"):
                given = [self.type_of(argument, module) for argument in node.args[1:2]]
                return either([args[1], *given, NOTHING] if name == "get" else [args[1], *given])
            if name == "values":
                return Foreign("typing.Iterable", (args[1],))
            if name == "keys":
                return Foreign("typing.Iterable", (args[0],))
            if name == "items":
                return Foreign("typing.Iterable", (Foreign("builtins.tuple", args),))
            if name == "popitem":
                return Foreign("builtins.tuple", args)
            if name == "copy":
                return receiver
        if foreign.is_iterable_of_first(receiver.name) and args:
            if name in ("pop", "popleft", "__next__"):
                return args[0]
            if name in ("copy", "union", "difference", "intersection", "symmetric_difference"):
                return receiver
            if name == "__iter__":
                return Foreign("typing.Iterator", (args[0],), receiver.source)
        if name == "enter_context" and last == "ExitStack" and node.args:
            return self.entered(self.type_of(node.args[0], module))
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(self.is_ours(self.type_of(argument, module)) for argument in arguments) and receiver.name != "?":
            return OPAQUE if foreign.is_innocent(receiver.name) else ANYTHING
        return self.value_of(callee)
