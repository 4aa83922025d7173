"""Docstrings: their examples go through the same engine as code, their prose follows the modules' names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import tokenize_rt  # type: ignore[import-untyped]  # it has no types

from .edits import Edits
from .imports import rewrite_references
from .model import Instance, Type, either
from .problems import Problem
from .program import Module
from .project import Project
from .source import parse

__all__ = ["Docstring", "conventions", "docstrings"]

_PROMPT = re.compile(r"^(\s*(?:>>>|\.\.\.)(?: |$))(.*)$")
_FENCE = re.compile(r"^\s*```\s*(?:python|py)\s*$")


@dataclass
class Docstring:
    """One docstring of a twinned module.

    Attributes:
        node: the string.
        raw: its text as it stands in the source, quotes included.
        prefixes: for each line of it that is code, what stands before the code.
        program: the code of all its examples as one module with the same lines; None if there is none.
        problems: what keeps the examples from being understood.
    """

    node: ast.Constant
    raw: str
    prefixes: dict[int, str] = field(default_factory=dict)
    program: Module | None = None
    problems: list[Problem] = field(default_factory=list)

    def rewrite(self, edits: Edits, program_edits: Edits, project: Project) -> None:
        """Put the twin's text in the docstring's place."""
        code: list[str] = []
        if self.program is not None:
            tokens = program_edits.apply(tokenize_rt.src_to_tokens(self.program.text))
            code = tokenize_rt.tokens_to_src(list(tokens)).split("\n")
        lines = []
        for number, line in enumerate(self.raw.split("\n")):
            if number in self.prefixes:
                lines.append((self.prefixes[number] + code[number]).rstrip() if code[number] else line)
            else:
                lines.append(rewrite_references(line, project))
        text = "\n".join(lines)
        if text != self.raw:
            edits.rename((self.node.lineno, self.node.col_offset), text)


def conventions(project: Project) -> dict[str, Type]:
    """Give the names that examples may use for instances without making them: the classes' names in lower case."""
    found: dict[str, list[Type]] = {}
    for module in project.known.values():
        if module is not None and not module.is_test:
            for cls in module.classes:
                if not cls.name.startswith("_") and cls.qualname == cls.name:
                    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.name).lower()
                    found.setdefault(name, []).append(Instance(cls))
    for name, path in project.settings.example_names:
        origin, _, class_name = path.rpartition(".")
        known = project.module(origin)
        found[name] = [Instance(cls) for cls in known.classes if cls.qualname == class_name] if known else []
    return {name: either(kinds) for name, kinds in found.items()}


def docstrings(module: Module) -> Iterator[Docstring]:
    """Give the docstrings of a module with their examples parsed."""
    for node in ast.walk(module.tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        first = node.body[0] if node.body else None
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        if isinstance(first.value.value, str):
            yield _read(first.value, module)


def _read(node: ast.Constant, module: Module) -> Docstring:
    raw = ast.get_source_segment(module.text, node)
    assert raw is not None, "a docstring has a place in its module"
    docstring = Docstring(node, raw)
    lines = raw.split("\n")
    certain, likely = _marked_lines(lines), _indented_lines(lines, node.col_offset)
    for blocks, sure in (({**likely, **certain}, False), (certain, True)):
        if not blocks:
            continue
        try:
            docstring.program = _program(blocks, lines, node, module)
            docstring.prefixes = {number: prefix for number, (prefix, _) in blocks.items()}
            break
        except SyntaxError as error:
            if sure:
                line = node.lineno + (error.lineno or 1) - 1
                text = f"this example is not Python ({error.msg}); correct it, or don't mark it as an example"
                docstring.problems.append(Problem(module.path, line, text))
    return docstring


def _program(blocks: dict[int, tuple[str, str]], lines: list[str], node: ast.Constant, module: Module) -> Module:
    code = "\n".join(blocks[number][1] if number in blocks else "" for number in range(len(lines)))
    program = parse(module.name, module.path, code, is_package=module.is_package)
    program.role = "twinned"
    program.is_example = True
    program.enclosing = module
    program.line_offset = node.lineno - 1
    return program


def _marked_lines(lines: list[str]) -> dict[int, tuple[str, str]]:
    """Find the code behind prompts and between fences: for each line its prefix and the code."""
    found: dict[int, tuple[str, str]] = {}
    fence: str | None = None
    for number, line in enumerate(lines):
        if fence is not None:
            if line.strip().startswith("```"):
                fence = None
            else:
                found[number] = _split(line, len(fence))
        elif _FENCE.match(line):
            fence = line[: len(line) - len(line.lstrip())]
        elif (match := _PROMPT.match(line)) is not None and (">>>" in match.group(1) or number - 1 in found):
            found[number] = (match.group(1), match.group(2))
    return found


def _indented_lines(lines: list[str], column: int) -> dict[int, tuple[str, str]]:
    """Find the literal blocks behind a line that ends with a double colon; the first line starts in a column."""
    found: dict[int, tuple[str, str]] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.rstrip().endswith("::"):
            continue
        outer = column if number == 1 else _indent(line)
        block: list[int] = []
        while number < len(lines) and (not lines[number].strip() or _indent(lines[number]) > outer):
            block.append(number)
            number += 1
        inner = min((_indent(lines[each]) for each in block if lines[each].strip()), default=0)
        found.update({each: _split(lines[each], inner) for each in block if lines[each].strip()})
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _split(line: str, width: int) -> tuple[str, str]:
    return line[:width], line[width:]
