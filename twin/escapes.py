"""What is refused because a wait would get out of sight: handed on, hidden behind Any, or found by a computed name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .oracle import Function
from .project import Module, Project
from .settings import DECODERS, DUNDERS, NAMES
from .waiting import Waits, outermost

Found = Iterator[tuple[ast.AST, str]]
_BY_ANY_NAME = {"vars", "eval", "exec", "globals", "locals", "__dict__", "__getattribute__"}
_BY_ANY_NAME |= {"attrgetter", "methodcaller", "getmembers", "getattr_static", "import_module"}
_BY_NAME = {"builtins.getattr", "builtins.setattr", "builtins.hasattr", "builtins.delattr"}
_BY_ABILITY = {"builtins.isinstance", "builtins.issubclass", "builtins.callable"}
_UNCHECKED = {"typing.cast", "typing_extensions.cast", "attrs.field", "attr.field", "attr.ib"}
_METHODS = {"get", "items", "keys", "pop", "values"}
_READERS = {"isinstance", "len", "repr", "str", "json.loads"}
_READING = (ast.Assert, ast.Compare, ast.Expr, ast.FormattedValue, ast.If, ast.Return, ast.UnaryOp)
_OWN_METHODS = {"__call__", "__get__", "__func__", "__wrapped__"}


def short(node: ast.AST) -> str:
    """Return a node's code as far as a message shows it."""
    return ast.unparse(node).splitlines()[0][:60]


class Escapes:
    """Examines values: where something that waits goes, and what may turn out to wait."""

    def __init__(self, module: Module, waits: Waits, project: Project) -> None:
        self.module = module
        self.waits = waits
        self.oracle = waits.oracle
        self.project = project

    def examine(self, node: ast.AST) -> Found:
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield from self.reference(node)
        elif isinstance(node, ast.Call):
            yield from self.asked(node)
            yield from self.handed(node)
        elif isinstance(node, ast.Match):
            for pattern in (each for case in node.cases for each in ast.walk(case) if isinstance(each, ast.MatchClass)):
                yield from self.probed(pattern, pattern.cls)
        if isinstance(node, (ast.Call, ast.With, ast.For, ast.comprehension)):
            yield from self.unknown(node)
        values = isinstance(node, (ast.Call, ast.Name, ast.Attribute)) and self.waits.iterates(node, self.module)
        if values and not self.goes_through(node):  # type: ignore[arg-type]
            yield node, f"{short(node)} waits when it is gone through{self.whereto(node)}"

    def reference(self, node: ast.Name | ast.Attribute) -> Found:
        name = node.id if isinstance(node, ast.Name) else node.attr
        targets, parent = self.oracle.targets(node, self.module), self.module.parents[node]
        waiting = targets & (self.waits.kinds.keys() | self.waits.callables)
        called = isinstance(parent, ast.Call) and parent.func is node
        if name in _BY_ANY_NAME and not any(isinstance(target, Function) for target in targets):
            yield node, f"{name} gives members by any name and hides what it gives: name them in code"
        if _BY_NAME & self.oracle.foreign(node, self.module) and not called:
            yield node, f"{name} may give what waits: name it in code"
        shown = name in self.waits.names and (called or isinstance(node, ast.Attribute))
        if shown and self.oracle.hidden(node, self.module):
            value = node.value if isinstance(node, ast.Attribute) else node
            if not self.is_document(value):
                owner = short(value)
                yield node, f"can't tell what {owner} is, and {name} waits somewhere: annotate {owner}"
        elif waiting and not called:
            if isinstance(parent, ast.Attribute) and parent.attr in _OWN_METHODS:
                yield node, f"{short(parent)} is what waits by another name: here it gets out of sight"
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node, f"{short(node)} = ... replaces something that waits; write a method"
            elif isinstance(node.ctx, ast.Load) and not (isinstance(parent, ast.Attribute) or self.known(node)):
                yield node, f"{short(node)} waits when it is called{self.whereto(node)}"

    def known(self, node: ast.expr) -> bool:
        """Whether a function goes where it is awaited, or only gets a local name, under which it is known, too."""
        parent = self.module.parents[node]
        if self.waits.takes_waiting(node, self.module):
            return True
        if not isinstance(parent, ast.Assign) or self.oracle.targets(node, self.module) & self.waits.callables:
            return False
        names = [self.oracle.variable(each, self.module) for each in parent.targets if isinstance(each, ast.Name)]
        once = len(names) == len(parent.targets) and all(name and len(self.waits.bound[name]) == 1 for name in names)
        return once and self.waits.place(node, self.module)[0] is not None

    def whereto(self, node: ast.AST) -> str:
        """Return how a message ends about something that waits and goes where nobody waits for it."""
        parent = self.module.parents[node]
        call = self.module.parents[parent] if isinstance(parent, ast.keyword) else parent
        if not isinstance(call, ast.Call):
            return "; here it gets out of sight: use it where it is named"
        if any(isinstance(target, Function) for target in self.oracle.targets(call.func, self.module)):
            return f": annotate the parameter of {short(call.func)} that takes it as Callable[..., Waitable[...]]"
        return f", and {short(call.func)} can't wait for it"

    def asked(self, node: ast.Call) -> Found:
        """Refuse what is found by a computed name, and a test for what a class can do."""
        names = self.oracle.foreign(node.func, self.module)
        attribute = node.args[1] if len(node.args) > 1 else None
        for shown in (name.rpartition(".")[2] for name in names & _BY_NAME):
            if any(isinstance(argument, ast.Starred) for argument in node.args):
                yield node, f"{shown} of unpacked arguments may give what waits: name it in code"
            elif not isinstance(attribute, ast.Constant):
                yield node, f"{shown} by a computed name may give what waits: name the attribute"
            elif attribute.value in self.waits.names and shown != "hasattr":
                yield node, f"{shown}(..., {attribute.value!r}) may give what waits: write .{attribute.value}"
            elif attribute.value in self.waits.special:
                yield node, f"{attribute.value} has another name in the twin: test for a class"
        if names & _BY_ABILITY and node.args:
            yield from self.probed(node, attribute)

    def probed(self, node: ast.AST, cls: ast.expr | None) -> Found:
        """Refuse a test for what a class can do, which its twin does by other methods."""
        named = ast.walk(cls) if cls is not None else ()
        abilities = {name for each in named for name in self.oracle.abilities(each, self.module)}
        if self.waits.special & (abilities if cls is not None else {"__call__"}):
            yield node, f"`{short(node)}` says something else of the twin's classes: test for a class"

    def handed(self, node: ast.Call) -> Found:
        """Refuse instances given to what may call, enter or go through them, or do anything, without waiting."""
        names = self.oracle.foreign(node.func, self.module)
        if names & {"builtins.iter", "builtins.next"} and "plain" not in self.waits.calls(node, self.module):
            return
        formals = self.oracle.formals(node, self.module)
        asked = {name for formal in formals for name in self.oracle.asked_for(formal)}
        shared = [name for name in names if self.project.is_ours(name)]
        anything = shared and any(self.oracle.is_any(formal) for formal in formals)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            for kind in self.oracle.types(argument, self.module):
                methods = self.oracle.methods(kind, *(self.waits.special if names & _UNCHECKED else asked))
                for name in {each.name for each in methods if each in self.waits.kinds}:
                    if not self.waits.takes_waiting(argument, self.module):
                        yield node, f"{short(node.func)}() may call {short(argument)}.{name}, which can't wait there"
                if anything and self.waits.kinds.keys() & self.oracle.all_methods(kind):
                    path = "/".join(shared[0].split(".")[:2]) + ".py"
                    yield argument, f"{short(argument)} waits, and goes to {path}, which has no twin: annotate it there"

    def unknown(self, node: ast.Call | ast.With | ast.For | ast.comprehension) -> Found:
        """Refuse Any where something that waits when it is called, entered or gone through may hide behind it."""
        special = self.waits.special
        if self.waits.here(node, self.module) & {"waits", "unknown"} != {"unknown"}:
            return
        if isinstance(node, ast.With):
            if "__enter__" in special:
                yield node, f"can't tell whether `with {', '.join(map(short, node.items))}` waits: annotate it"
        elif isinstance(node, ast.Call):
            told = isinstance(node.func, ast.Attribute) and node.func.attr in self.waits.names
            if "__call__" in special and not (told or short(node.func) == "super" or self.is_document(node.func)):
                yield node, f"can't tell whether {short(node.func)}() waits: annotate what it is"
        elif special & {"__iter__", "__next__"} and not self.is_document(node.iter):
            yield node, f"can't tell whether iterating over {short(node.iter)} waits: annotate it"

    def goes_through(self, node: ast.expr) -> bool:
        """Whether an iterator that waits is used where its twin can be: gone through, entered, named, returned."""
        parent = self.module.parents[node]
        if isinstance(parent, (ast.For, ast.comprehension)):
            return parent.iter is node
        if isinstance(parent, ast.Call):
            return parent.func is node or ast.unparse(parent.func) in ("next", "iter")
        if isinstance(parent, (ast.Assign, ast.AnnAssign)):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            return node in targets or all(isinstance(target, ast.Name) for target in targets)
        if isinstance(parent, (ast.IfExp, ast.BoolOp)):
            return self.goes_through(parent)
        if isinstance(parent, ast.Return):
            function = self.waits.place(node, self.module)[0]
            return function is not None and (outermost(function.node.returns) in NAMES or function.name in DUNDERS)
        return isinstance(parent, (ast.withitem, ast.NamedExpr, ast.Attribute, ast.Expr, ast.YieldFrom))

    def is_document(self, node: ast.expr) -> bool:
        """Whether a value is out of a decoder such as ``json.loads``: Any, and yet nothing of ours is in it."""
        if isinstance(node, ast.Call):
            made = self.oracle.foreign(node.func, self.module) & set(DECODERS)
            return bool(made) or (_reads(node) and self.is_document(node.func.value))  # type: ignore[attr-defined]
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            return self.is_document(node.value)
        variable = self.oracle.variable(node, self.module) if isinstance(node, ast.Name) else None
        values = [value for value, _ in self.waits.bound.get(variable, [])] if variable is not None else []
        if len(values) != 1 or values[0] is None or not self.is_document(values[0]):
            return False
        uses = (each for each in ast.walk(self.module.tree) if isinstance(each, ast.Name))
        return all(self.only_read(use) for use in uses if self.oracle.variable(use, self.module) is variable)

    def only_read(self, use: ast.Name) -> bool:
        """Whether a use of a variable puts nothing of ours into what it holds and gives nothing there another name."""
        for child, parent in self.module.above(use) if isinstance(use.ctx, ast.Load) else ():
            part = isinstance(parent, (ast.Attribute, ast.Subscript)) and isinstance(parent.ctx, ast.Load)
            method = isinstance(parent, ast.Call) and parent.func is child and _reads(parent)
            if not part and not method and not isinstance(parent, ast.BoolOp):
                asks = isinstance(parent, ast.Call) and ast.unparse(parent.func) in _READERS
                return asks or isinstance(parent, _READING)
        return True


def _reads(node: ast.Call) -> bool:
    """Whether a call is of a method that leaves a document as it is and returns nothing from elsewhere."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    return name in _METHODS and not any(isinstance(each, (ast.Name, ast.Call)) for each in node.args[1:])
