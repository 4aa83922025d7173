"""The build hook: a ``build_py`` that generates the asyncio package too, in place for editable installs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import unasync  # type: ignore[import-untyped]  # it has no types

_ROOT = Path(__file__).resolve().parent.parent
if str(_ROOT) not in sys.path:
    # The backend's path holds this folder only, and an isolated build not even the project's.
    sys.path.insert(0, str(_ROOT))

from twin.generate import prepare  # noqa: E402  # found on the path set above
from twin.settings import PROJECT  # noqa: E402  # as above

__all__ = ["build_py"]


class build_py(unasync.cmdclass_build_py(rules=())):  # type: ignore[misc]  # untyped; setuptools' name
    """Builds what setuptools builds, and the twins.

    All twins are generated at every build, not only those of the files that were just copied as unasync does it: a twin
    depends on what other modules define.
    """

    editable_mode: bool

    def run(self) -> None:
        """Build; in an editable install, where nothing is copied, generate in place."""
        twins = prepare(_ROOT)
        if self.editable_mode:
            twins.write_package(_ROOT)
            return
        super().run()
        twins.write_package(Path(self.build_lib))

    def find_package_modules(self, package: str, package_dir: str | os.PathLike[str]) -> list[tuple[str, str, str]]:
        """Give a package's modules, without generated ones that lie there from an earlier run."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        if package != PROJECT.package.twin:
            return found
        return [each for each in found if each[1] == PROJECT.package.primitives]
