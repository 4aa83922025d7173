"""A node where nothing of what keeps contexts is installed, and where something of its own is missing."""

from __future__ import annotations

import pytest

from tests.support.programs import output_of

WITHOUT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_it_needs_nothing_of_what_keeps_contexts() -> None:
    program = WITHOUT.format(hidden=("aiohttp", "httptools", "obstore", "sqlalchemy", "uvicorn"))
    told = output_of(f"{program}\nimport ctxmgr.node.node\nprint([n for n in sys.modules if 'ctxmgr.service' in n])")
    assert told == "[]\n"


@pytest.mark.parametrize("name", ["blake3", "filelock", "msgspec", "pyfastcdc", "zstandard"])
def test_what_it_needs_and_misses_is_named_with_the_extra_that_brings_it(name: str) -> None:
    program = f"""{WITHOUT.format(hidden=(name,))}
from ctxmgr import Client

with Client(api_key="any-key", endpoint="http://127.0.0.1:9") as client:
    try:
        client.sessions.create(".")
    except ImportError as error:
        print(error)
"""
    told = output_of(program)
    assert told == f"keeping a directory of this machine needs {name}: pip install 'ctxmgr[node]'\n"
