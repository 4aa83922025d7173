"""Runs mypy as a library: on the source, and, as the second proof, on what was generated."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mypy import build, errors
from mypy.errorcodes import error_codes
from mypy.main import process_options
from mypy.modulefinder import BuildSource

from .project import Module, Problem, Refused

#: What is no fault in the source, and in the twin only where it is new.
NOTED = ("truthy-bool", "unreachable", "unused-awaitable")
Found = list[tuple[Problem, str]]  # each with its error code


def run(
    root: Path, modules: Iterable[Module], unread: Iterable[str], cache: Path | None, *, strict: bool
) -> tuple[build.BuildResult, Found]:
    """Have mypy check some modules, without reading some others; return its trees and types, and what it finds."""
    flags = [f"--cache-dir={cache or os.devnull}", "--strict" if strict else "--check-untyped-defs"]
    _, options = process_options(["--config-file=", *flags, "-c", ""])
    options.python_version, options.platform = (3, 10), "linux"
    options.warn_unreachable = options.ignore_missing_imports = options.show_absolute_path = True
    options.enabled_error_codes |= {error_codes["truthy-bool"], error_codes["unused-awaitable"]}
    options.export_types = options.preserve_asts = True
    options.native_parser = False  # it counts columns in characters, not in bytes as ast does
    options.mypy_path = [str(root)]
    skipped = [pattern for name in unread for pattern in (name, f"{name}.*")]
    options.per_module_options = {pattern: {"follow_imports": "skip"} for pattern in skipped}
    places = {f"{root / m.path}{f'@{m.line_offset}' if m.role == 'example' else ''}": m for m in modules}
    # Given as text, modules are checked anew; from their files, mypy remembers those that are right.
    sources = [BuildSource(place, module.name, None if strict else module.text) for place, module in places.items()]
    try:
        result = build.build(sources, options)
    except errors.CompileError as error:
        raise Refused([p for p, _ in _read(error.messages, places)] or [Problem(".", 1, str(error))]) from error
    return result, list(_read(result.errors, places))


def _read(messages: list[str], places: dict[str, Module]) -> Iterator[tuple[Problem, str]]:
    for message in messages:
        match = re.fullmatch(r"(.+?):(\d+): error: (.*?)(?:  \[([\w-]+)\])?", message)
        if match and (module := places.get(match[1])):
            yield Problem(module.path, int(match[2]) + module.line_offset, f"mypy: {match[3]}"), match[4] or ""
