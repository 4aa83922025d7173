"""What names and expressions are, as mypy says: the only module that knows mypy's own trees and types."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mypy import nodes, types

from .checker import NOTED, run
from .edits import start
from .project import Module, Project, Refused

Kind = types.ProperType
Variable = nodes.Var
# In mypy's trees, the fields that lead out of a node rather than into it.
_NO_CHILDREN = {"alias_node", "def_var", "info", "node", "original_def", "setter", "type", "unanalyzed_items", "var"}


@dataclass(eq=False)
class Function:
    """A function of a module that is twinned, or of the primitives."""

    module: Module
    node: ast.FunctionDef
    mypy: nodes.FuncDef

    def __post_init__(self) -> None:
        self.name = self.node.name
        self.is_method = bool(self.mypy.info)
        self.qualname = f"{self.mypy.info.name}.{self.name}" if self.is_method else self.name


@dataclass(frozen=True)
class Foreign:
    """What has no twin, by its full name as far as it has one; a class of ours, too, which calling makes no wait."""

    name: str = ""


class Unknown:
    """What mypy calls Any."""


Target = Function | Foreign | Unknown | Variable  # a variable holds something that can be called


class Oracle:
    """A project as mypy understands it: functions by their syntax trees, classes, and what mypy refuses or notes."""

    def __init__(self, project: Project, modules: list[Module], cache: Path | None) -> None:
        unread = (*project.settings.unread, project.settings.package.twin)
        result, found = run(project.root, modules, unread, cache, strict=False)
        self.problems = [problem for problem, code in found if code not in NOTED]
        self.noted = {(problem.path, problem.line) for problem, code in found if code in NOTED}
        self.functions: dict[ast.AST, Function] = {}
        self.classes: list[nodes.TypeInfo] = []
        self._types = result.types
        self._by_mypy: dict[nodes.FuncDef, Function] = {}
        self._expressions: dict[Module, dict[tuple[int, ...], list[nodes.Expression]]] = {}
        self._overloaded: list[nodes.OverloadedFuncDef] = []
        self._targets: dict[ast.expr, set[Target]] = {}
        for module in modules:
            self._read(module, result.files[module.name])

    def _read(self, module: Module, tree: nodes.MypyFile) -> None:
        expressions = self._expressions[module] = {}
        functions: dict[tuple[int, int], nodes.FuncDef] = {}
        for found in _walk(tree):
            if isinstance(found, nodes.Expression) and found.end_line is not None:
                spot = (found.line, found.column, found.end_line, found.end_column or 0)
                expressions.setdefault(spot, []).append(found)
            elif isinstance(found, nodes.FuncDef):
                functions[found.line, found.column] = found
            elif isinstance(found, nodes.OverloadedFuncDef):
                self._overloaded.append(found)
            elif isinstance(found, nodes.ClassDef):
                self.classes.append(found.info)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef):
                known = functions.get(start(node))
                if known is None:
                    raise Refused([module.problem(node, f"{node.name} is for another version of Python or platform")])
                self.functions[node] = self._by_mypy[known] = Function(module, node, known)

    def _find(self, node: ast.AST, module: Module) -> nodes.Expression | None:
        spot = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        found = self._expressions[module].get(spot, [])
        return next((each for each in found if each in self._types), found[0] if found else None)

    def _symbol(self, node: ast.AST, module: Module) -> nodes.SymbolNode | None:
        """Return what a name stands for."""
        found = self._find(node, module)
        return found.node or getattr(found, "def_var", None) if isinstance(found, nodes.RefExpr) else None

    def types(self, node: ast.AST, module: Module) -> list[Kind]:
        """Return the types an expression may have; Any where mypy has none, as in code it finds unreachable."""
        found = self._find(node, module)
        kind = self._types.get(found) if found is not None else None
        return list(_arms(kind or types.AnyType(types.TypeOfAny.special_form)))

    def targets(self, node: ast.expr, module: Module) -> set[Target]:
        """Return what an expression refers to, or what calling it calls."""
        if node not in self._targets:
            self._targets[node] = set(self._refers(node, module))
        return self._targets[node]

    def foreign(self, node: ast.expr, module: Module) -> set[str]:
        """Return the full names of what has no twin among what an expression refers to."""
        return {target.name for target in self.targets(node, module) if isinstance(target, Foreign)}

    def _refers(self, node: ast.expr, module: Module) -> Iterator[Target]:
        found, symbol = self._find(node, module), self._symbol(node, module)
        called = self._called(self.types(node, module))
        if isinstance(found, nodes.SuperExpr):
            bases = found.info.mro[1:] if found.info else []
            yield from self._stands(next((b.names[found.name].node for b in bases if found.name in b.names), None))
        elif not isinstance(symbol, nodes.Var) and symbol is not None:
            yield from self._stands(symbol)
        elif isinstance(symbol, nodes.Var) and symbol.is_suppressed_import:
            yield Foreign(symbol.fullname)
        elif isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and self.names_module(node.value, module)):
            yield from called | ({symbol} if symbol is not None else set())
        elif isinstance(node, ast.Attribute):
            for member in (each for kind in self.types(node.value, module) for each in self.members(kind, node.attr)):
                yield from self._stands(member)
                if isinstance(member, nodes.Var) or (isinstance(member, nodes.Decorator) and member.func.is_property):
                    yield from called
        else:
            yield from called

    def _called(self, kinds: Iterable[Kind]) -> set[Target]:
        """Return what calling a value of some types calls."""
        result: set[Target] = set()
        for kind in kinds:
            if isinstance(kind, types.FunctionLike) and not kind.is_type_obj():
                definitions = (item.definition for item in kind.items)
                result.update(each for d in definitions for each in (self._stands(d) if d else [Foreign()]))
            elif isinstance(kind, types.Instance) and (kind.type.get("__call__") or kind.type.fallback_to_any):
                result.update(each for member in self.members(kind, "__call__") for each in self._stands(member))
            else:
                result.add(Unknown() if self.is_any(kind) else Foreign())
        return result

    def _stands(self, symbol: nodes.Node | None) -> Iterator[Target]:
        """Yield what a symbol of mypy's stands for."""
        if isinstance(symbol, nodes.Decorator):
            symbol = symbol.func
        if isinstance(symbol, nodes.TypeAlias):
            aliased = types.get_proper_type(symbol.target)
            symbol = aliased.type if isinstance(aliased, types.Instance) else symbol
        if isinstance(symbol, nodes.OverloadedFuncDef):
            for part in (*symbol.items, symbol.impl or symbol.items[0]):
                yield from self._stands(part)
        elif isinstance(symbol, nodes.FuncDef) and symbol in self._by_mypy:
            yield self._by_mypy[symbol]
        elif isinstance(symbol, nodes.Var):
            yield symbol
        else:
            yield Foreign(getattr(symbol, "fullname", "")) if symbol is not None else Unknown()
            if isinstance(symbol, nodes.TypeInfo):
                yield from self.methods(types.Instance(symbol, []), "__init__")

    def members(self, kind: Kind, name: str) -> Iterator[nodes.SymbolNode | None]:
        """Yield a type's members of a name; None where anything may hide behind it."""
        if isinstance(kind, types.Instance):
            found = kind.type.get(name)
            yield None if found is None else found.node
        elif isinstance(kind, types.TypeType):
            yield from (member for arm in _arms(kind.item) for member in self.members(arm, name))
        elif isinstance(kind, types.FunctionLike):
            own = (info := _class_of(kind)) and info.get(name)
            yield from [own.node] if own else self.members(kind.fallback, name)
        elif isinstance(kind, (types.TupleType, types.TypedDictType, types.LiteralType)):
            inner = kind.partial_fallback if isinstance(kind, types.TupleType) else kind.fallback
            yield from self.members(inner, name)
        else:
            yield None

    def methods(self, kind: Kind, *names: str) -> set[Function]:
        """Return the functions of ours that a type has under some names."""
        members = (member for name in names for member in self.members(kind, name) if member is not None)
        return {target for member in members for target in self._stands(member) if isinstance(target, Function)}

    def all_methods(self, kind: Kind) -> set[Function]:
        """Return the functions of ours that a value of a type, or what it contains, gives access to."""
        if not isinstance(kind, types.Instance):
            return {each for each in self._called([kind]) if isinstance(each, Function)}
        names = [name for info in kind.type.mro if info in self.classes for name in info.names]
        inner = (each for argument in kind.args for arm in _arms(argument) for each in self.all_methods(arm))
        return self.methods(kind, *names).union(inner)

    def hidden(self, node: ast.Name | ast.Attribute, module: Module) -> bool:
        """Whether anything may hide behind a name or an attribute, as far as mypy knows."""
        if self._symbol(node, module) is not None or isinstance(self._find(node, module), nodes.SuperExpr):
            return False
        kinds = self.types(node.value, module) if isinstance(node, ast.Attribute) else []
        return not kinds or any(member is None for kind in kinds for member in self.members(kind, node.attr))  # type: ignore[union-attr]

    def names_module(self, node: ast.expr, module: Module) -> bool:
        """Whether a name stands for a module rather than for a value."""
        return isinstance(self._symbol(node, module), nodes.MypyFile)

    def variable(self, node: ast.AST, module: Module) -> Variable | None:
        """Return the variable that a name, an attribute of self or a parameter stands for."""
        if isinstance(node, ast.arg):
            function = self.functions.get(module.parents[module.parents[node]])
            arguments = function.mypy.arguments if function is not None else []
            return next((each.variable for each in arguments if each.variable.name == node.arg), None)
        symbol = self._symbol(node, module)
        return symbol if isinstance(symbol, nodes.Var) else None

    def is_any(self, kind: Kind) -> bool:
        return isinstance(kind, types.AnyType)

    def class_name(self, kind: Kind) -> str:
        return kind.type.fullname if isinstance(kind, types.Instance) else ""

    def formals(self, node: ast.Call, module: Module) -> list[Kind]:
        """Return the types that a call's parameters may have, as declared and as mypy understands them here."""
        symbol = self._symbol(node.func, module)
        made = [symbol.get("__init__"), symbol.get("__new__")] if isinstance(symbol, nodes.TypeInfo) else []
        declared = [getattr(each, "type", None) for each in (symbol, *(each.node for each in made if each))]
        kinds = [types.get_proper_type(kind) for kind in declared if isinstance(kind, types.Type)]
        signatures = (kind for kind in (*kinds, *self.types(node.func, module)) if isinstance(kind, types.FunctionLike))
        formals = (formal for kind in signatures for item in kind.items for formal in item.arg_types)
        return [arm for formal in formals for arm in _arms(formal)]

    def asked_for(self, kind: Kind) -> Iterable[str]:
        """Return the methods that what takes a value of a type may call: those of a foreign protocol."""
        foreign = isinstance(kind, types.Instance) and kind.type.is_protocol and kind.type not in self.classes
        return kind.type.protocol_members if foreign else ["__call__"] * isinstance(kind, types.CallableType)  # type: ignore[attr-defined]

    def abilities(self, node: ast.AST, module: Module) -> Iterator[str]:
        """Yield the methods that make an instance of a foreign abstract class, if a node names one."""
        kinds = self.types(node, module) if isinstance(node, (ast.Name, ast.Attribute)) else ()
        for info in (info for kind in kinds if (info := _class_of(kind)) and info not in self.classes):
            yield from info.protocol_members if info.is_protocol else info.names if info.is_abstract else ()

    def families(self) -> Iterator[tuple[set[Function], set[Target]]]:
        """Yield methods with those that stand in for them: overriding ones, and the implementations of a protocol."""
        for overloaded in self._overloaded:
            yield {each for each in self._stands(overloaded) if isinstance(each, Function)}, set()
        for info in self.classes:
            for name, symbol in info.names.items():
                own = {each for each in self._stands(symbol.node) if isinstance(each, Function)}
                relatives = [base.names[name].node for base in info.mro[1:] if name in base.names]
                if name == "__enter__" and "__exit__" in info.names:
                    relatives.append(info.names["__exit__"].node)
                if info.is_protocol:
                    alike = (each for each in self.classes if all(map(each.get, info.protocol_members)))
                    relatives += [found.node for each in alike if (found := each.get(name))]
                yield own, {other for relative in relatives for other in self._stands(relative)} - own

    def untwinned_bases(self, function: Function) -> list[str]:
        """Return the classes without a twin that a method's class derives from and that may call the method."""
        mro = function.mypy.info.mro if function.is_method else []
        return [base.fullname for base in mro if base not in self.classes and not base.is_protocol]

    def iterators(self) -> Iterator[tuple[Function, Function]]:
        """Yield each class's __iter__ with the __next__ that it is gone through by."""
        for kind in (types.Instance(info, []) for info in self.classes if info.get("__next__")):
            yield from ((a, b) for a in self.methods(kind, "__iter__") for b in self.methods(kind, "__next__"))


def _class_of(kind: Kind) -> nodes.TypeInfo | None:
    """Return the class whose object a value of a type is."""
    return kind.type_object() if isinstance(kind, types.FunctionLike) and kind.is_type_obj() else None


def _arms(kind: types.Type) -> Iterator[Kind]:
    """Yield the types that a union, or a type variable, may stand for; None is none."""
    proper = types.get_proper_type(kind)
    if isinstance(proper, types.UnionType):
        yield from (arm for item in proper.items for arm in _arms(item))
    elif isinstance(proper, types.TypeVarType):
        yield from (arm for bound in proper.values or [proper.upper_bound] for arm in _arms(bound))
    elif not isinstance(proper, (types.NoneType, types.UninhabitedType)):
        yield proper


@functools.cache
def _fields(kind: type) -> list[str]:
    own = {name for base in kind.__mro__ for name, value in vars(base).items() if inspect.isdatadescriptor(value)}
    return ["defs"] if kind is nodes.MypyFile else [name for name in own - _NO_CHILDREN if not name.startswith("__")]


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Go through a tree by its fields, because mypy's compiled visitors can't be subclassed."""
    stack: list[object] = [tree]
    seen = set()
    while stack:
        value = stack.pop()
        if isinstance(value, (list, tuple)):
            stack += value
        elif isinstance(value, nodes.Node) and not isinstance(value, (nodes.Var, nodes.TypeInfo)) and value not in seen:
            seen.add(value)
            stack += [getattr(value, name, None) for name in _fields(type(value))]  # type: ignore[arg-type]
            yield value
