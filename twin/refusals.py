"""What is refused where it stands: a wait that has no place there, a definition that can't wait, a call that blocks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .escapes import Escapes, Found, short
from .oracle import Foreign, Function, Unknown
from .project import Module, Problem, Project
from .settings import BLOCKING, DECORATORS, DUNDERS, LOCKS, NAMES
from .waiting import Waits, is_generator, own


def refusals(module: Module, waits: Waits, project: Project) -> Iterator[Problem]:
    """Yield a module's problems."""
    examiner = _Places(module, waits, project)
    for node in ast.walk(module.tree):
        yield from (module.problem(at, text) for at, text in examiner.examine(node))


class _Places(Escapes):
    """Examines definitions, waits and calls where they stand."""

    def examine(self, node: ast.AST) -> Found:
        yield from super().examine(node)
        if isinstance(node, (ast.AsyncFunctionDef, ast.AsyncWith, ast.AsyncFor, ast.Await)):
            yield node, "the source is blocking code, and its twin gets async and await: leave them out"
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from self.decorators(node)
            if isinstance(node, ast.FunctionDef) and self.oracle.functions[node] in self.waits.coroutines:
                yield from self.coroutine(node, self.oracle.functions[node])
        elif isinstance(node, (ast.Call, ast.With, ast.For, ast.comprehension)):
            yield from self.wait(node)
            if isinstance(node, ast.With):
                yield from self.lock(node)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            yield from self.blocking(node)
            if "__next__" in self.waits.special:
                yield from self.stopping(node)

    def decorators(self, node: ast.FunctionDef | ast.ClassDef) -> Found:
        """Refuse what may put something that waits in the place of a function or a class."""
        for decorator in node.decorator_list:
            function = decorator.func if isinstance(decorator, ast.Call) else decorator
            targets = self.oracle.targets(function, self.module)
            ours = [each for each in targets if isinstance(each, Function) and each.module.role != "primitives"]
            untold = any(each.node.returns is None or each.name == "__init__" for each in ours)
            if untold or (ours and isinstance(node, ast.ClassDef)) or Unknown in map(type, targets):
                yield decorator, f"what @{short(decorator)} puts in the place of {node.name} may wait; annotate it"

    def coroutine(self, node: ast.FunctionDef, function: Function) -> Found:
        """Refuse a function that can't wait, or that others may call without waiting."""
        possible = node.name in (*DUNDERS, "__call__") and (node.name != "__iter__" or is_generator(node))
        if node.name.startswith("__") and not possible:
            yield node, f"{node.name} can't wait; move the wait into a method that is called"
        for decorator in node.decorator_list:
            name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
            names = self.oracle.foreign(decorator, self.module)
            if name.endswith("property"):
                yield node, f"{node.name} waits, but is a property; make it a method"
            elif name.rpartition(".")[2] not in DECORATORS and not any("pytest." in each for each in (name, *names)):
                yield decorator, f"{node.name} waits, and @{name} may not expect that; do without it"
        for base in self.oracle.untwinned_bases(function):
            if self.project.is_ours(base):
                path = "/".join(base.split(".")[:2]) + ".py"
                yield node, f"{node.name} waits, and {base} in {path}, which has no twin, may call it without waiting"
        others = (each for members, relatives in self.waits.families if function in members for each in relatives)
        for owner in (each.name.rpartition(".")[0] for each in others if isinstance(each, Foreign)):
            if owner != "builtins.object" and owner.rpartition(".")[2] not in NAMES:
                yield node, f"{node.name} waits, and {owner} may call it without waiting; call it something else"
        calls = [each for each in own(node) if isinstance(each, ast.Call) and ast.unparse(each.func) == "next"]
        stops = any(isinstance(each, ast.Name) and each.id == "StopIteration" for each in own(node))
        for call in calls if stops or node.name == "__next__" else ():
            if len(call.args) == 1 and "waits" not in self.waits.calls(call, self.module):
                yield call, f"`{short(call)}` stops by another exception than what waits here: give it a default"

    def stopping(self, node: ast.Name | ast.Attribute) -> Found:
        """Refuse StopIteration where it can't be told whether it is to be StopAsyncIteration."""
        if isinstance(node, ast.Attribute) and node.attr == "StopIteration":
            yield node, "StopIteration has another name in the twin: write it without what leads to it"
        elif isinstance(node, ast.Name) and node.id == "StopIteration":
            function = self.waits.place(node, self.module)[0]
            caught = any(isinstance(parent, (ast.ExceptHandler, ast.With)) for _, parent in self.module.above(node))
            if function is None or not (function in self.waits.coroutines or caught or function.name == "__next__"):
                yield node, "StopIteration has another name in the twin's __next__: raise it there, or return a value"

    def wait(self, node: ast.AST) -> Found:
        found = self.waits.here(node, self.module)
        function, obstacle = self.waits.place(node, self.module)
        if "waits" in found:
            if obstacle:
                yield node, f"`{short(node)}` waits, which can't be in {obstacle}; move it into a statement of its own"
            if len(found) > 1:
                yield node, f"`{short(node)}` waits for some types it may have and not for others; tell them apart"
            above = (p for c, p in self.module.above(node) if not isinstance(p, ast.IfExp) or c is p.test)
            if function in self.waits.open_ended and not isinstance(next(above), ast.Return):
                yield node, "what is annotated Waitable may only return such a call: move the rest elsewhere"

    def lock(self, node: ast.With) -> Found:
        held = [each for statement in node.body for each in ast.walk(statement)]
        if any(isinstance(each, ast.Yield) or "waits" in self.waits.here(each, self.module) for each in held):
            for item in node.items:
                names = map(self.oracle.class_name, self.oracle.types(item.context_expr, self.module))
                if set(LOCKS).intersection(names):
                    yield node, f"{short(item)} is held over a wait, and the thread may wait for itself: let go before"

    def blocking(self, node: ast.Name | ast.Attribute) -> Found:
        if not isinstance(self.module.parents[node], ast.Attribute):
            for name in self.oracle.foreign(node, self.module):
                banned = BLOCKING if self.module.role == "twinned" else ("time.sleep",)
                if any(name == each or name.startswith(f"{each}.") for each in banned):
                    home = min(each.path for each in self.project.primitives).removesuffix("/__init__.py")
                    yield node, f"{name}() blocks; put what waits into {home} and call that"
