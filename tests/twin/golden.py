"""The golden project and small ones made for a test."""

from __future__ import annotations

import textwrap
from pathlib import Path

from twin import Package, Settings, TestTree, generate

__all__ = ["EXPECTED", "GOLDEN", "SETTINGS", "make", "twin_of"]

GOLDEN = Path(__file__).parent / "data" / "golden"
EXPECTED = Path(__file__).parent / "data" / "expected"
SETTINGS = Settings(package=Package("shop", "shop_async"), tests=(TestTree("tests/twinned", "tests/_twinned_async"),))


def make(root: Path, **modules: str) -> Path:
    """Make a project of the golden primitives and the given modules of its package; give its folder."""
    for package in ("shop", "shop_async"):
        (root / package).mkdir()
        (root / package / "_io.py").write_bytes((GOLDEN / package / "_io.py").read_bytes())
    (root / "shop" / "__init__.py").write_text("from ._io import now\n", "utf-8")
    for name, text in modules.items():
        (root / "shop" / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")
    return root


def twin_of(root: Path, **modules: str) -> str:
    """Give the twin of the first of the modules, without its last line."""
    make(root, **modules)
    generate(root, SETTINGS)
    text = (root / "shop_async" / f"{next(iter(modules))}.py").read_text("utf-8")
    return text[: text.rindex("# Generated")]
