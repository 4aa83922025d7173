"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, names: Mapping[str, Collection[str]]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` (PEP 562).

    Args:
        package: its name.
        names: the names that a module defines, by the module's name, which may be relative to the package.
    """
    defined_in = {name: module for module, defined in names.items() for name in defined}

    def get(name: str) -> Any:
        if f"{package}.{name}" in names:
            return import_module(f"{package}.{name}")
        if name not in defined_in:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(defined_in[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
