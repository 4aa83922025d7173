"""The list of error codes for users and the codes that the service raises are the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ctxmgr.errors import error_for
from ctxmgr.service.api.envelope import http_status

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"(?:Invalid|Forbidden|Unsupported|ServiceUnavailable|InternalError)\w*(?:\.[A-Z]\w+)?")
# Prefixes that codes are recognised by, and nothing that is ever answered.
PREFIXES = {"Forbidden", "Invalid", "Internal", "Unsupported"}


def raised() -> set[str]:
    """The texts in the service's sources that are codes."""
    found = set()
    for file in (f for folder in ("engine", "service") for f in (ROOT / "ctxmgr" / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
    return found - PREFIXES


def listed() -> set[str]:
    """The codes in the document; a bare ``.Closed`` goes on from the code before it."""
    found = set()
    last = ""
    for quoted in re.findall(r"`([^`\n]+)`", (ROOT / "docs" / "errors.md").read_text()):
        code = last.partition(".")[0] + quoted if re.fullmatch(r"\.[A-Z]\w+", quoted) else quoted
        if (CODE.fullmatch(code) and not code.endswith("Error")) or code == "InternalError":
            found.add(code)
            last = code
    return found


def test_every_code_is_listed_and_every_listed_code_is_raised() -> None:
    assert listed() == raised()


def rows() -> list[tuple[str, int, str]]:
    """The rows of the service's table: code, status, and the exception's name."""
    found = []
    for line in (ROOT / "docs" / "errors.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[2].isdecimal():
            codes = re.findall(r"`([A-Z][^`]*)`", cells[1])
            found += [(code, int(cells[2]), cells[4].strip("`")) for code in codes]
    return found


@pytest.mark.parametrize(("code", "status", "raised_as"), rows())
def test_the_status_and_the_exception_are_those_of_the_list(code: str, status: int, raised_as: str) -> None:
    assert http_status(code) == status
    assert type(error_for(code, "why")).__name__ == raised_as
