"""Refuses calls: those that may wait unseen, that wait where none can, and that block."""

from __future__ import annotations

import ast

from .calls import match_arguments
from .examiner import MIXED, Examiner
from .model import ForeignAttribute, ForeignRef, Type, Unknown, Variable, arms
from .program import Function

__all__ = ["CallRefusals"]


class CallRefusals(Examiner):
    """Examines calls and what they are given."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._call(node)

    def _call(self, node: ast.Call) -> None:
        callee = self.type_of(node.func)
        verdict = self.waits.calling(callee)
        shown = ast.unparse(node.func)
        if verdict == MIXED:
            self.refuse(
                node,
                f"{shown}() waits for some types it may have and not for others; make them agree, or test the type",
            )
        elif self.waits.waits_here(node, self.module):
            if any(isinstance(arm, (Unknown, Variable)) for arm in arms(callee)):
                self.refuse(node, f"can't tell whether {shown}() waits: annotate what {shown} is")
            self.placed(node, f"{shown}() waits")
        elif self.waits.some_instances_call and any(isinstance(arm, (Unknown, Variable)) for arm in arms(callee)):
            self.refuse(node, f"can't tell whether {shown}() waits: annotate what {shown} is")
        self._nested(node)
        self._blocking(node, callee)
        for arm in arms(callee):
            function = self.called_function(arm)
            if function is not None and function.module.role != "shared":
                self._given(function, node)
        for arm in arms(callee):
            if isinstance(arm, ForeignAttribute) and (name := self.waits.alias(arm.receiver.name)):
                self.alias_member(node, name, arm.name)

    def _nested(self, node: ast.AST) -> None:
        """Refuse a wait in a comprehension inside another: Python 3.10 does not know how."""
        if not self.waits.waits_here(node, self.module):
            return
        depth = 0
        for child, parent in self.module.ancestors(node):
            if isinstance(parent, (ast.ListComp, ast.SetComp, ast.DictComp)):
                depth += not (child is parent.generators[0] and self._in_first_iterable(node, parent))
            elif isinstance(parent, ast.stmt):
                break
        if depth > 1:
            self.refuse(
                node, "a wait in a comprehension inside another needs Python 3.11; write the outer one as a loop"
            )

    def _in_first_iterable(self, node: ast.AST, comprehension: ast.ListComp | ast.SetComp | ast.DictComp) -> bool:
        return any(inner is node for inner in ast.walk(comprehension.generators[0].iter))

    def _blocking(self, node: ast.Call, callee: Type) -> None:
        settings = self.project.settings
        banned = settings.blocking_calls_in_tests if self.module.is_test else settings.blocking_calls
        if self.module.is_example:
            banned = frozenset({"time.sleep"})
        for arm in arms(callee):
            name = None
            if isinstance(arm, ForeignRef):
                name = arm.name
            elif isinstance(arm, ForeignAttribute):
                name = f"{arm.receiver.name}.{arm.name}"
            if name is not None and any(
                name == entry or (entry.endswith(".") and name.startswith(entry)) or name.startswith(entry + ".")
                for entry in banned
            ):
                primitives = self.project.primitives.blocking.path
                self.refuse(node, f"{name}() blocks; put what waits into {primitives} and call that")

    def _given(self, function: Function, call: ast.Call) -> None:
        """Refuse a function that does not wait for a parameter that is awaited, and the other way round."""
        for parameter, argument in match_arguments(function, call):
            expected = self.expected(function, parameter)
            kind = self.type_of(argument)
            verdict = self.calling_value(kind)
            shown, callee = ast.unparse(argument), ast.unparse(call.func)
            if expected is True and (verdict != frozenset({True}) or _is_open(kind)) and list(arms(kind)):
                self.refuse(
                    argument,
                    f"{shown} does not wait, and {callee} awaits it as {parameter.arg}; give it a function that waits",
                )
            elif expected is False and True in verdict and function.module.role == "primitives":
                self.refuse(
                    argument, f"{shown} waits, and {callee} does not await its {parameter.arg}; hand it to another"
                )


def _is_open(kind: Type) -> bool:
    return any(isinstance(arm, (Unknown, Variable)) for arm in arms(kind))
