"""Refuses `with` and `for` that may wait unseen or can not wait where they stand."""

from __future__ import annotations

import ast

from .examiner import MIXED, Examiner
from .model import Foreign, Unknown, Variable, arms

__all__ = ["LoopRefusals"]


class LoopRefusals(Examiner):
    """Examines what is entered and iterated over."""

    def examine(self, node: ast.AST) -> None:
        if isinstance(node, ast.With):
            self._with(node)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._for(node)
        elif isinstance(node, ast.YieldFrom):
            self._yield_from(node)

    def _with(self, node: ast.With) -> None:
        found: list[bool] = []
        for item in node.items:
            kind = self.type_of(item.context_expr)
            verdict = self.waits.entering(kind)
            unknown = any(isinstance(arm, (Unknown, Variable)) for arm in arms(kind)) or not list(arms(kind))
            if verdict == MIXED or (unknown and True in verdict) or (unknown and self.waits.some_instances_enter):
                shown = ast.unparse(item.context_expr)
                self.refuse(item.context_expr, f"can't tell whether `with {shown}` waits: annotate what it enters")
            for arm in arms(kind):
                if isinstance(arm, Foreign) and (name := self.waits.alias(arm.name)):
                    self.alias_member(item.context_expr, name, "__enter__")
            found.append(True in verdict)
        if any(found):
            if not all(found):
                self.refuse(
                    node,
                    "some of these context managers wait and some don't; write one `with` inside another",
                )
            self.placed(node, "this `with` waits")

    def _for(self, node: ast.For | ast.comprehension) -> None:
        kind = self.type_of(node.iter)
        verdict = self.waits.iterating(kind)
        unknown = any(isinstance(arm, (Unknown, Variable)) for arm in arms(kind))
        if verdict == MIXED or (unknown and (True in verdict or self.waits.some_instances_iterate)):
            shown = ast.unparse(node.iter)
            self.refuse(node.iter, f"can't tell whether iterating over {shown} waits: annotate what it is")
        elif True in verdict:
            what = f"iterating over {ast.unparse(node.iter)} waits"
            if isinstance(node, ast.comprehension) and isinstance(self.module.parents[node], ast.GeneratorExp):
                self.refuse(node.iter, f"{what}, which can't be in a generator expression; use a list")
            else:
                self.placed(node if isinstance(node, ast.For) else self.module.parents[node], what)

    def _yield_from(self, node: ast.YieldFrom) -> None:
        owner = self.waits.place(node, self.module).function
        if True in self.waits.iterating(self.type_of(node.value)) or owner in self.waits.coroutines:
            self.refuse(node, "`yield from` has no asynchronous form; use `for item in ...: yield item`")
