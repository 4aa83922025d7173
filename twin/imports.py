"""Import statements and strings that name modules: what has a twin comes from the twin, the rest from the source."""

from __future__ import annotations

import ast
import re

from .edits import Edits
from .problems import Problem
from .program import Imported, Module
from .project import Project

__all__ = ["rewrite_imports", "rewrite_references"]


def rewrite_imports(module: Module, project: Project, edits: Edits) -> list[Problem]:
    """Point a module's imports to the twins of what they import."""
    rewriter = _Imports(module, project, edits)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            rewriter.from_import(node)
        elif isinstance(node, ast.Import):
            rewriter.plain_import(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            rewriter.dotted_string(node)
    return rewriter.problems


def rewrite_references(text: str, project: Project) -> str:
    """Point the dotted names of modules and their contents in a prose text to the twins."""

    def twin(match: re.Match[str]) -> str:
        return _twinned_path(match.group(0), project) or match.group(0)

    source = re.escape(project.settings.package.source)
    return re.sub(rf"(?<![\w./\-]){source}(?:\.[A-Za-z_]\w*)+", twin, text)


def _twinned_path(path: str, project: Project) -> str | None:
    """Give the twin's spelling of ``package.module.name``, None if the thing is shared."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        module = project.module(name)
        if module is None:
            continue
        twin = project.twin_name(name)
        rest = parts[length:]
        if twin is None or (rest and rest[0] not in module.scope.names):
            return None
        return ".".join([twin, *rest])
    return None


class _Imports:
    def __init__(self, module: Module, project: Project, edits: Edits) -> None:
        self.module = module
        self.project = project
        self.edits = edits
        self.problems: list[Problem] = []

    def refuse(self, node: ast.AST, text: str) -> None:
        line = getattr(node, "lineno", 1) + self.module.line_offset
        self.problems.append(Problem(self.module.path, line, text))

    def from_import(self, node: ast.ImportFrom) -> None:
        origin = self.module.absolute(node.module, node.level)
        if self.project.module(origin) is None:
            return
        if any(alias.name == "*" for alias in node.names):
            self.refuse(node, f"`from {origin} import *` hides what is imported; name it")
            return
        here: list[ast.alias] = []
        targets: dict[str, list[ast.alias]] = {}
        for alias in node.names:
            target = self._target(origin, alias.name)
            if target == "" and node.level:
                here.append(alias)
            else:
                targets.setdefault(target or self.project.twin_name(origin) or origin, []).append(alias)
        if not targets or (not here and list(targets) == [origin] and not node.level):
            return
        statements = []
        if here:
            dots = "." * node.level + (node.module or "")
            statements.append(f"from {dots} import {_names(here)}")
        if not here and len(targets) == 1:
            self._rename_origin(node, next(iter(targets)))
            return
        statements += [f"from {target} import {_names(aliases)}" for target, aliases in targets.items()]
        self.edits.replace(node, "; ".join(statements))

    def _target(self, origin: str, name: str) -> str:
        """Give the module from which the twin imports a name; "" for the origin's own twin."""
        module = self.project.module(origin)
        assert module is not None
        below = self.project.module(f"{origin}.{name}") if name not in module.scope.names else None
        if below is not None:
            return "" if self.project.twin_name(below.name) else origin
        return "" if self.project.twin_name(origin) else origin

    def _rename_origin(self, node: ast.ImportFrom, target: str) -> None:
        """Replace ``.module`` or ``package.module`` between ``from`` and ``import``."""
        assert node.end_lineno is not None
        line = self.module.text.splitlines()[node.lineno - 1]
        code = line.encode()[node.col_offset :].decode()
        match = re.match(r"from\s*([.\w\s]+?)\s*import\b", code)
        if match is None:
            self.refuse(node, "write `from ... import` on one line up to the word import")
            return
        begin = node.col_offset + len(code[: match.start(1)].encode())
        finish = node.col_offset + len(code[: match.end(1)].encode())
        stretch = ast.Pass(lineno=node.lineno, col_offset=begin, end_lineno=node.lineno, end_col_offset=finish)
        self.edits.replace(stretch, target)

    def plain_import(self, node: ast.Import) -> None:
        for alias in node.names:
            if self.project.module(alias.name) is None:
                continue
            twin = self.project.twin_name(alias.name)
            if alias.asname:
                if twin is not None:
                    self._rename_dotted(alias.lineno, alias.col_offset, alias.name, twin)
                continue
            self._unaliased(node, alias, twin)

    def _unaliased(self, node: ast.Import, alias: ast.alias, twin: str | None) -> None:
        """``import package`` binds the package's name, which has to become the twin's wherever it is used."""
        top = alias.name.partition(".")[0]
        twin_top = self.project.twin_name(top)
        uses = [
            use
            for use in ast.walk(self.module.tree)
            if isinstance(use, ast.Name) and use.id == top and self._is_import(use, node)
        ]
        if twin is not None and twin_top is None:
            self.refuse(
                node, f"`import {alias.name}` can't be twinned because {top} is not; use `from {top} import ...`"
            )
            return
        shared = [use for use in uses if twin_top is None or self._is_shared(use)]
        if shared and len(shared) < len(uses):
            self.refuse(
                shared[0],
                f"`import {alias.name}` is used here for something shared and elsewhere for something twinned; "
                f"use `from {top} import ...`",
            )
        elif not shared and twin_top is not None:
            self._rename_dotted(alias.lineno, alias.col_offset, alias.name, twin or alias.name)
            for use in uses:
                if self.module.place(use).obstacle == "an f-string":
                    # Before Python 3.12 a name in an f-string is no token.
                    self.refuse(use, f"{top} can't be renamed in an f-string; use `from {top} import ...`")
                    continue
                self.edits.rename((use.lineno, use.col_offset), twin_top)

    def _is_import(self, use: ast.Name, node: ast.Import) -> bool:
        found = self.module.scopes[use].find(use.id) or ()
        return any(isinstance(binding, Imported) and binding.node is node for binding in found)

    def _is_shared(self, use: ast.Name) -> bool:
        path = use.id
        node: ast.AST = use
        while isinstance(parent := self.module.parents.get(node), ast.Attribute):
            path += f".{parent.attr}"
            node = parent
        parts = path.split(".")
        return len(parts) > 1 and _twinned_path(".".join(parts[:2]), self.project) is None

    def _rename_dotted(self, line: int, column: int, name: str, twin: str) -> None:
        """Rename the tokens of a dotted name one by one."""
        old, new = name.split("."), twin.split(".")
        if len(old) != len(new):
            finish = column + len(name.encode())
            stretch = ast.Pass(lineno=line, col_offset=column, end_lineno=line, end_col_offset=finish)
            self.edits.replace(stretch, twin)
            return
        for before, after in zip(old, new, strict=True):
            if before != after:
                self.edits.rename((line, column), after)
            column += len(before.encode()) + 1

    def dotted_string(self, node: ast.Constant) -> None:
        """A string that is nothing but the path of something twinned, as monkeypatching takes it."""
        source = re.escape(self.project.settings.package.source)
        if isinstance(self.module.parents[node], ast.JoinedStr):
            return
        if not re.fullmatch(rf"{source}(\.\w+)+", str(node.value)):
            return
        twin = _twinned_path(str(node.value), self.project)
        segment = ast.get_source_segment(self.module.text, node)
        if twin is not None and segment is not None and segment[1:-1] == node.value:
            self.edits.rename((node.lineno, node.col_offset), segment[0] + twin + segment[-1])


def _names(aliases: list[ast.alias]) -> str:
    return ", ".join(f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in aliases)
