"""The build backend: setuptools', for which a wheel, an sdist and an editable install hold the generated package.

Only a build from a checkout needs the generator: an sdist has what was generated.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import build_meta  # type: ignore[import-untyped]  # it has no types
from setuptools.build_meta import *  # type: ignore[import-untyped]  # noqa: F403  # all that is not defined here
from setuptools.command import build_py as building  # type: ignore[import-untyped]
from setuptools.command import sdist as distributing

ROOT = Path(__file__).resolve().parent.parent
# mypy's trees change from version to version. The others are what the source's types come from.
NEEDED = ("mypy==2.4.1", "unasync==0.6.0", "tokenize-rt>=6", "attrs>=23.2", "types-requests")
GENERATOR = () if (ROOT / "PKG-INFO").is_file() else NEEDED


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Return what a build needs beside setuptools."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *GENERATOR]


get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel


def _write(target: Path) -> None:
    if GENERATOR:
        # The backend's path holds this folder only, and an isolated build not even the project's.
        sys.path.insert(0, str(ROOT))
        from twin.generate import prepare

        prepare(ROOT, tests=False, cache=None).write(target)


class build_py(building.build_py):  # type: ignore[misc]  # untyped; setuptools' name
    """Builds what setuptools builds, and the twins: all of them, because a twin depends on other modules, too."""

    editable_mode: bool

    def run(self) -> None:
        """Build; in an editable install, where nothing is copied, generate in place."""
        if not self.editable_mode:
            super().run()
        _write(ROOT if self.editable_mode else Path(self.build_lib))

    def find_package_modules(self, package: str, package_dir: str | os.PathLike[str]) -> list[tuple[str, str, str]]:
        """Return a package's modules, without generated ones that lie there from an earlier run."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [each for each in found if not GENERATOR or package != "ctxmgr_async" or each[1] == "_io"]


class sdist(distributing.sdist):  # type: ignore[misc]  # as above
    """Puts the generated package into the sdist."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        _write(Path(base_dir))
