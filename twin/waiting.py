"""What waits: from the primitives' coroutines through every caller, to a fixpoint."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .oracle import Function, Oracle, Target, Unknown, Variable
from .project import FunctionNode, Module, Project
from .settings import AWAITABLE, DUNDERS

Verdict = set[str]  # of "waits", "iterates", "plain" and "unknown": all that may be
_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_NESTED = "a comprehension in a comprehension, which needs Python 3.11"
_OBSTACLES = {ast.Lambda: "a lambda", ast.JoinedStr: "an f-string", ast.ClassDef: "a class body",
              ast.GeneratorExp: "a generator expression"}  # fmt: skip


class Waits:
    """Answers what waits."""

    def __init__(self, oracle: Oracle, project: Project, modules: list[Module]) -> None:
        self.oracle = oracle
        self.modules = modules
        self.counterparts = dict(each for pair in project.primitives.items() for each in _counterparts(*pair))
        self.kinds: dict[Target, str] = {}  # functions whose calls are awaited, "waits", or return what "iterates"
        self.coroutines: set[Target] = set()  # those that become `async def`
        self.open_ended: set[Target] = set()  # those annotated `-> Waitable[...]`, plain, whose callers await them
        self.callables: set[Target] = set()  # variables annotated `Callable[..., Waitable[...]]`
        self.iterators: set[Variable | None] = set()  # those that hold an iterator or a manager that waits
        # What each variable is bound to; None for what no expression says.
        self.bound: dict[Variable, list[tuple[ast.expr | None, Module]]] = {}
        self.families = list(oracle.families())
        for function in oracle.functions.values():
            if function.module.role == "primitives":
                if kind := _kind(self.definition(function)):
                    self.kinds[function] = kind
            elif outermost(function.node.returns) == "Waitable":
                self.kinds[function] = "waits"
                self.open_ended.add(function)
        for module in modules:
            for node in ast.walk(module.tree):
                self._bind(node, module)
        self._solve()
        # Under which names something waits; special are those of protocol methods such as `__iter__`.
        found = {function.name for function in self.kinds if isinstance(function, Function)}
        self.special = {name for name in found if name.startswith("__")}
        self.names = found - self.special

    def _bind(self, node: ast.AST, module: Module) -> None:
        above = (
            parent for _, parent in module.above(node) if not isinstance(parent, (ast.Tuple, ast.List, ast.Starred))
        )
        at = node if isinstance(node, ast.arg) else next(above, None)
        stored = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store)
        variable = self.oracle.variable(node, module) if stored or at is node else None
        if variable is not None:
            value = at.value if isinstance(at, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) else None
            self.bound.setdefault(variable, []).append((value, module))
            if isinstance(at, (ast.arg, ast.AnnAssign)) and _takes_waiting(at.annotation):
                self.callables.add(variable)

    def calls(self, node: ast.Call, module: Module) -> Verdict:
        """Return what a call may do."""
        targets = self.oracle.targets(node.func, module)
        names = self.oracle.foreign(node.func, module)
        steps = node.args and names & {"builtins.next", "builtins.iter"}
        if steps and "waits" in self.protocol(node.args[0], module, "__iter__", "__next__"):
            return {"waits" if "builtins.next" in names else "iterates"}
        if targets & self.callables:
            return {"waits"}
        if any(isinstance(target, Function) and target.name == "__init__" for target in targets):
            return {"plain"}
        known = [target for target in targets if not isinstance(target, Variable)]
        return {"unknown" if isinstance(each, Unknown) else self.kinds.get(each, "plain") for each in known}

    def iterates(self, node: ast.AST, module: Module) -> bool:
        """Whether a value is an iterator, or a context manager, that a function of ours made and that waits."""
        if isinstance(node, ast.Call):
            return "iterates" in self.calls(node, module)
        if isinstance(node, (ast.IfExp, ast.BoolOp, ast.NamedExpr)):
            return any(self.iterates(value, module) for value in ast.iter_child_nodes(node))
        return isinstance(node, (ast.Name, ast.Attribute)) and self.oracle.variable(node, module) in self.iterators

    def protocol(self, node: ast.expr, module: Module, *names: str) -> Verdict:
        """Return what going through a value, or entering it, may do, by the names of the methods that are called."""
        if self.iterates(node, module):
            return {"waits"}
        kinds = self.oracle.types(node, module)
        waits = {kind: self.kinds.keys() & self.oracle.methods(kind, *names) for kind in kinds}
        return {"waits" if waits[each] else "unknown" if self.oracle.is_any(each) else "plain" for each in kinds}

    def here(self, node: ast.AST, module: Module) -> Verdict:
        """Return what a call, ``with`` or ``for`` may do where it stands."""
        if isinstance(node, ast.Call):
            return self.calls(node, module)
        if isinstance(node, ast.With):
            values = (item.context_expr for item in node.items)
            return {each for value in values for each in self.protocol(value, module, "__enter__", "__exit__")}
        if isinstance(node, (ast.For, ast.comprehension)):
            return self.protocol(node.iter, module, "__iter__", "__next__")
        return set()

    def place(self, node: ast.AST, module: Module) -> tuple[Function | None, str]:
        """Return the function in whose body a node is, and what keeps an await from standing there."""
        obstacle = ""
        comprehensions = 0
        outside: ast.AST | None = None  # whose first iterable the node is in, which is evaluated outside of it
        for child, parent in module.above(node):
            if isinstance(parent, ast.comprehension) and child is parent.iter:
                outer = module.parents[parent]
                outside = outer if parent is outer.generators[0] else None  # type: ignore[attr-defined]
            elif isinstance(parent, FunctionNode):
                if child in parent.body:
                    return self.oracle.functions.get(parent), obstacle
                obstacle = obstacle or ("a decorator" if child in parent.decorator_list else "a default argument")
            elif parent is not outside:
                comprehensions += isinstance(parent, (ast.ListComp, ast.SetComp, ast.DictComp))
                obstacle = obstacle or _OBSTACLES.get(type(parent), _NESTED if comprehensions == 2 else "")
        return None, obstacle or ("" if module.role == "example" else "module level")

    def takes_waiting(self, node: ast.AST, module: Module) -> bool:
        """Whether a value is the argument for a parameter that takes functions that wait."""
        parent = module.parents[node]
        call = module.parents[parent] if isinstance(parent, ast.keyword) else parent
        if not isinstance(call, ast.Call) or call.func is node:
            return False
        found = set()
        for function in (each for each in self.oracle.targets(call.func, module) if isinstance(each, Function)):
            given = self.definition(function).args
            names = {each.arg: each for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
            if isinstance(parent, ast.keyword):
                argument = names.get(parent.arg or "")
            else:
                places = [*given.posonlyargs, *given.args][function.is_method :]
                argument = dict(zip(call.args, places, strict=False)).get(node)  # type: ignore[call-overload]
            found.add(argument is not None and _takes_waiting(argument.annotation))
        return found == {True}

    def definition(self, function: Function) -> _Definition:
        """Return the definition that says what a function does: of a primitive, that for asyncio."""
        return self.counterparts.get((function.module, function.qualname), function.node)

    def _solve(self) -> None:
        kinds = (ast.Call, ast.With, ast.For, ast.comprehension, ast.Return)
        nodes = [(node, module) for module in self.modules for node in ast.walk(module.tree) if isinstance(node, kinds)]
        before = -1
        while before != (before := len(self.kinds) + len(self.iterators)):
            for variable, values in self.bound.items():
                if any(value is not None and self.iterates(value, module) for value, module in values):
                    self.iterators.add(variable)
            for node, module in nodes:
                function = self.place(node, module)[0]
                if isinstance(node, ast.Return) and node.value is not None and self.iterates(node.value, module):
                    self.kinds.setdefault(function, "iterates")  # type: ignore[arg-type]  # a return is in one
                elif "waits" in self.here(node, module):
                    self._mark(function)
            for members, others in self.families:
                self._agree([*members, *(each for each in others if isinstance(each, Function))])
            for function, following in self.oracle.iterators():
                if following in self.kinds and not is_generator(function.node):
                    self.kinds.setdefault(function, "iterates")

    def _mark(self, function: Function | None) -> None:
        if function and function not in self.open_ended | self.coroutines and function.module.role != "primitives":
            self.kinds[function] = "iterates" if is_generator(function.node) else "waits"
            self.coroutines.add(function)

    def _agree(self, family: list[Function]) -> None:
        found = {self.kinds[each] for each in family if each in self.kinds}
        for each in (each for each in family if found and each not in self.kinds):
            if found == {"iterates"} and not is_generator(each.node):
                self.kinds[each] = "iterates"
            else:
                self._mark(each)


def is_generator(function: _Definition) -> bool:
    """Whether a function yields."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own(function))


def own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield a function's nodes without those of functions in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (*FunctionNode, ast.Lambda)):
            yield child
            yield from own(child)


def _counterparts(ours: Module, theirs: Module) -> Iterator[tuple[tuple[Module, str], _Definition]]:
    """Yield the functions and methods of the asyncio primitives under the names they have in the blocking ones."""
    blocking = {new: old for old, new in DUNDERS.items()}
    for node in theirs.tree.body:
        if isinstance(node, FunctionNode):
            yield (ours, node.name), node
        elif isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, FunctionNode))
            yield from (((ours, f"{node.name}.{blocking.get(each.name, each.name)}"), each) for each in methods)


def _kind(definition: _Definition) -> str:
    if isinstance(definition, ast.AsyncFunctionDef):
        return "iterates" if is_generator(definition) else "waits"
    returns = outermost(definition.returns)
    return "waits" if returns in AWAITABLE else "iterates" if returns.startswith("Async") else ""


def _takes_waiting(annotation: ast.expr | None) -> bool:
    names = set(annotated(annotation))
    return "Callable" in names and bool(AWAITABLE & names)


def annotated(annotation: ast.expr | None) -> Iterator[str]:
    """Yield the names in an annotation, the outermost first."""
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"[A-Za-z_]\w*(?![\w.])", node.value)


def outermost(annotation: ast.expr | None) -> str:
    """Return the name of what an annotation or a base is, without what it contains; of alternatives, the first's."""
    return next(annotated(annotation), "")
