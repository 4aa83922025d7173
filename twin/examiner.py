"""What the examiners of a module share: asking for types, telling a problem, where a wait can stand."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod

from .inference import Inference
from .model import CallableOf, ClassRef, FunctionRef, Instance, Type, arms, either
from .primitives import awaits_argument
from .problems import Problem
from .program import Function, Module
from .project import DUNDERS, Project
from .waiting import Verdict, Waits

__all__ = ["MIXED", "Examiner"]

MIXED: Verdict = frozenset({True, False})


class Examiner(ABC):
    """Looks at the nodes of one module for one kind of thing that has to be refused."""

    def __init__(self, module: Module, project: Project, inference: Inference, waits: Waits) -> None:
        self.module = module
        self.project = project
        self.inference = inference
        self.waits = waits
        self.problems: list[Problem] = []

    @abstractmethod
    def examine(self, node: ast.AST) -> None:
        """Look at a node; every node of the module is given to every examiner."""

    def refuse(self, node: ast.AST, text: str) -> None:
        line: int = getattr(node, "lineno", 1) + self.module.line_offset
        self.problems.append(Problem(self.module.path, line, text))

    def type_of(self, node: ast.expr) -> Type:
        return self.inference.type_of(node, self.module)

    def placed(self, node: ast.AST, what: str) -> None:
        """Refuse a wait where none can stand."""
        place = self.waits.place(node, self.module)
        owner = place.function
        if place.obstacle is not None:
            self.refuse(node, f"{what}, which can't be in {place.obstacle}; move it into a statement of its own")
        elif owner is None:
            if not self.module.is_example:
                self.refuse(node, f"{what}, which can't be outside of a function; move it into one")
        elif owner in self.waits.open_ended:
            if not (isinstance(node, ast.Call) and self._is_returned(node)):
                self.refuse(
                    node,
                    f"{what}, and {owner.qualname} is annotated Waitable: it may only return such a call; "
                    "move the rest into a function of its own",
                )
        elif owner.is_property:
            self.refuse(node, f"{what}, but {owner.qualname} is a property; make it a method")
        elif owner.name.startswith("__") and owner.name.endswith("__"):
            if owner.name not in DUNDERS and owner.name != "__call__":
                self.refuse(node, f"{what}, which {owner.name} can't; move it into a method that is called")
            elif owner.name == "__iter__" and not owner.is_generator:
                self.refuse(node, f"{what}, which __aiter__ can't; make __iter__ a generator")

    def _is_returned(self, node: ast.expr) -> bool:
        """Tell whether a value is what a return statement returns, perhaps by a condition."""
        child: ast.AST = node
        parent = self.module.parents[child]
        while isinstance(parent, ast.IfExp) and child is not parent.test:
            child, parent = parent, self.module.parents[parent]
        return isinstance(parent, ast.Return)

    def alias_member(self, node: ast.AST, owner: str, name: str) -> None:
        kind = self.project.primitives.of_member(owner, name).kind
        if kind not in ("plain", "value"):
            where = self.project.primitives.asynchronous.path
            self.refuse(
                node,
                f"{owner}.{name} is foreign code in the blocking primitives and may wait in {where}; "
                f"write a class {owner} in both",
            )

    def is_waiting_instance(self, kind: Type) -> bool:
        return any(
            isinstance(arm, (Instance, ClassRef))
            and any(
                self.waits.waits_at_all(function) for function in arm.cls.module.functions if function.cls is arm.cls
            )
            for arm in arms(kind)
        )

    def called_function(self, callee: Type) -> Function | None:
        if isinstance(callee, FunctionRef):
            return callee.function
        if isinstance(callee, ClassRef):
            for arm in arms(self.inference.attribute(Instance(callee.cls), "__init__")):
                if isinstance(arm, FunctionRef):
                    return arm.function
            if callee.cls.module.role == "primitives":
                return next((f for f in callee.cls.module.functions if f.cls is callee.cls), None)
        return None

    def calling_value(self, kind: Type) -> Verdict:
        """Tell whether a value is a function that waits; instances are looked at where they are used."""
        functions = [arm for arm in arms(kind) if not isinstance(arm, Instance)]
        return frozenset().union(*(self.waits.calling(arm) for arm in functions))

    def expected(self, function: Function, parameter: ast.arg) -> bool | None:
        """Tell whether what a parameter takes has to wait when called; None if it may."""
        if function.module.role == "primitives":
            return awaits_argument(self.project.primitives, function, parameter.arg)
        if parameter.annotation is None:
            return None
        kind = self.inference.annotation(parameter.annotation, function.module)
        verdict = self.waits.calling(either(arm for arm in arms(kind) if isinstance(arm, CallableOf)))
        return True in verdict if verdict else None
