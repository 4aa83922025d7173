"""The golden project and small ones made for a test."""

from __future__ import annotations

import textwrap
from pathlib import Path

from twin import Package, Problem, Refused, Settings, TestTree, generate, prepare, prove

__all__ = [
    "CORRECT",
    "EXPECTED",
    "GOLDEN",
    "PROVEN",
    "REFUSED",
    "SETTINGS",
    "check_case",
    "make",
    "split_primitives",
    "twin_of",
]

# What may become of a case: it is twinned rightly, refused at its line of the source, or the second proof finds it.
CORRECT, REFUSED, PROVEN = "correct", "refused", "second proof"

GOLDEN = Path(__file__).parent / "data" / "golden"
EXPECTED = Path(__file__).parent / "data" / "expected"
SETTINGS = Settings(package=Package("shop", "shop_async"), tests=(TestTree("tests/twinned", "tests/_twinned_async"),))


def make(root: Path, **modules: str) -> Path:
    """Make a project of the golden primitives and the given modules of its package; return its folder."""
    for package in ("shop", "shop_async"):
        (root / package).mkdir()
        (root / package / "_io.py").write_bytes((GOLDEN / package / "_io.py").read_bytes())
    (root / "shop" / "__init__.py").write_text("from ._io import now\n", "utf-8")
    for name, text in modules.items():
        (root / "shop" / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")
    return root


def split_primitives(root: Path, blocking: str = "shop") -> None:
    """Make a package of a project's primitives, with a module that only the blocking one has."""
    for package in (blocking, f"{blocking}_async"):
        text = (root / package / "_io.py").read_text("utf-8")
        (root / package / "_io.py").unlink()
        (root / package / "_io").mkdir()
        (root / package / "_io" / "wires.py").write_text(text, "utf-8")
        names = ["Jobs", "Lock", "Waitable", "Wire", "now", "pause", "ticks"]
        exported = f"from .wires import {', '.join(names)}\n\n__all__ = {names}\n"
        (root / package / "_io" / "__init__.py").write_text(exported, "utf-8")
    (root / blocking / "_io" / "_pool.py").write_text("def submit() -> None: ...\n", "utf-8")


def twin_of(root: Path, **modules: str) -> str:
    """Return the twin of the first of the modules, without its last line."""
    make(root, **modules)
    generate(root, SETTINGS)
    text = (root / "shop_async" / f"{next(iter(modules))}.py").read_text("utf-8")
    return text[: text.rindex("# Generated")]


def check_case(root: Path, module: str, outcome: str, text: str) -> None:
    """Check what becomes of a module.

    Args:
        module: its text; what is refused, or found by the second proof, is in the line that ends with ``#!``.
        text: part of what is said of that line, or of a correct twin.
    """
    found, problems, twin = REFUSED, list[Problem](), ""
    try:
        twins = prepare(make(root, module=module), SETTINGS)
    except Refused as refused:
        problems = refused.problems
        assert not (root / "shop_async" / "module.py").exists()
    else:
        twins.write(root)
        twin = (root / "shop_async" / "module.py").read_text("utf-8")
        problems = prove(twins)
        found = PROVEN if problems else CORRECT
    shown = twin + "\n".join(map(str, problems))
    assert found == outcome, shown
    if outcome == CORRECT:
        assert text in twin
    else:
        line = next(number for number, each in enumerate(module.splitlines(), 1) if "#!" in each)
        assert line in [problem.line for problem in problems if text in problem.text], shown
