"""The engine where nothing of the service and nothing of the network is installed."""

from __future__ import annotations

import pytest

from tests.support.programs import output_of

HIDDEN = ("aiohttp", "httptools", "obstore", "requests", "sqlalchemy", "urllib3", "uvicorn")

PROGRAM = f"""
import importlib, pkgutil, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_every_module_of_the_engine_can_be_imported() -> None:
    program = f"""{PROGRAM}
import ctxmgr.engine
names = [found.name for found in pkgutil.walk_packages(ctxmgr.engine.__path__, "ctxmgr.engine.")]
for name in names:
    importlib.import_module(name)
print(*names)
print(*(name for name in sys.modules if name.startswith("ctxmgr.service")))
"""
    engine, service = output_of(program).splitlines()
    assert "ctxmgr.engine.sync.run" in engine.split()
    assert service == ""


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_can_not_be_imported(name: str) -> None:
    program = f"""{PROGRAM}
try:
    import {name}
except ModuleNotFoundError:
    print("hidden")
"""
    assert output_of(program).strip() == "hidden"
