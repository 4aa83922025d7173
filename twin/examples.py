"""Docstrings: their examples are checked and changed as code, their prose follows the modules' names."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .edits import Edits, end, start
from .project import FunctionNode, Module, Problem, Project

_PROMPT = re.compile(r"^(\s*(?:>>>|\.\.\.)(?: |$))(.*)$")
_FENCE = re.compile(r"^\s*```\s*(?:python|py)\s*$")


@dataclass
class Docstring:
    """One docstring, as it stands in the source with its quotes."""

    node: ast.Constant
    raw: str
    prefixes: dict[int, str] = field(default_factory=dict)  # what stands before the code, for each line of code
    program: Module | None = None  # the code of all examples, with the same lines
    problems: list[Problem] = field(default_factory=list)

    def rewrite(self, edits: Edits, program_edits: Edits, project: Project) -> None:
        """Put the twin's text in the docstring's place."""
        lines = self.raw.split("\n")
        code = program_edits.apply(self.program.text).split("\n") if self.program is not None else []
        names = rf"(?<![\w./\-]){project.settings.package.source}(?:\.[A-Za-z_]\w*)+"
        for number, line in enumerate(lines):
            if number not in self.prefixes:
                lines[number] = re.sub(names, lambda found: project.twin_path(found[0]), line)
            elif code[number]:
                lines[number] = (self.prefixes[number] + code[number]).rstrip()
        if "\n".join(lines) != self.raw:
            edits.replace(start(self.node), end(self.node), "\n".join(lines))


def docstrings(module: Module, project: Project) -> Iterator[Docstring]:
    """Yield the docstrings of a module with their examples parsed."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FunctionNode)) and ast.get_docstring(node) is not None:
            constant = node.body[0].value  # type: ignore[attr-defined]  # the docstring
            docstring = Docstring(constant, ast.get_source_segment(module.text, constant) or "")
            found = list(_code(docstring.raw.split("\n"), constant.col_offset))
            certain = [each for each in found if each[0]]
            if found and not _parse(docstring, found, module, project) and certain != found:
                docstring.problems.clear()  # what only looks like code need not be
                _parse(docstring, certain, module, project)
            yield docstring


def _code(lines: list[str], column: int) -> Iterator[tuple[bool, int, str, str]]:
    """Yield the lines of code: whether they are marked as such, their number, what stands before the code, the code.

    They are marked by prompts or by fences. Indented blocks behind a double colon only look like code.
    """
    fence = literal = width = None
    prompted = -2
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip()) if number else column
        if fence is not None:
            if line.strip().startswith("```"):
                fence = None
            else:
                yield True, number, line[:fence], line[fence:]
        elif _FENCE.match(line):
            fence = indent
        elif (match := _PROMPT.match(line)) and (">>>" in match[1] or prompted == number - 1):
            prompted = number
            yield True, number, match[1], match[2]
        elif line.strip() and literal is not None and indent > literal:
            width = indent if width is None else width
            yield False, number, line[:width], line[width:]
        elif line.strip():
            literal, width = (indent if line.rstrip().endswith("::") else None), None


def _parse(docstring: Docstring, found: list[tuple[bool, int, str, str]], module: Module, project: Project) -> bool:
    """Make lines of code a docstring's program; return whether they are one."""
    code = [""] * (docstring.raw.count("\n") + 1)
    for _, number, _, text in found:
        code[number] = text
    line = docstring.node.lineno
    try:
        code[0] = _granted("\n".join(code), module, project)
        docstring.program = Module(f"{module.name}_example_{line}", module.path, "\n".join(code), "example", line - 1)
    except SyntaxError as error:
        text = f"this example is not Python ({error.msg}); correct it, or don't mark it as an example"
        docstring.problems.append(Problem(module.path, line + (error.lineno or 1) - 1, text))
    else:
        docstring.prefixes = {number: prefix for _, number, prefix, _ in found}
    return docstring.program is not None


def _granted(code: str, module: Module, project: Project) -> str:
    """Return a first line that declares what an example does not bind.

    That is its module's names, and instances under their classes' names in lower case.
    """
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    names = {node.id for node in found}
    stored = {node.id for node in found if not isinstance(node.ctx, ast.Load)}
    classes: dict[str, list[str]] = {}
    lines = ["from typing import Any"]
    for each in project.modules.values():
        for node in each.tree.body if each.role != "test" else ():
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name).lower()
                if name in names:
                    classes.setdefault(name, []).append(alias := f"T{len(lines)}_{name}")
                    lines.append(f"from {each.name} import {node.name} as {alias}")
    for name in sorted(names - stored - set(dir(builtins)) - Module("", "", code).bound()):
        kinds = " | ".join(classes.get(name, ["Any"]))
        lines.append(f"from {module.name} import {name}" if name in module.bound() else f"{name}: {kinds}")
    return "; ".join(lines)
