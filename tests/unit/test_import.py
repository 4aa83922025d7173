"""What importing the package does, and above all what it leaves alone."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest

import ctxmgr
from ctxmgr import Client
from tests.support.programs import output_of

KEY = "akm-0123456789"
HEAVY = ["ctxmgr.service", "ctxmgr.cli", "click", "rich", "platformdirs", "sqlalchemy", "obstore", "aiohttp"]


@pytest.fixture(scope="module")
def modules() -> set[str]:
    """The modules that are there once the package is imported."""
    return set(output_of("import ctxmgr, sys; print(*sys.modules, sep='\\n')").split())


class TestImport:
    @pytest.mark.parametrize("name", HEAVY)
    def test_what_not_everyone_needs_is_left_out(self, modules: set[str], name: str) -> None:
        assert [module for module in modules if module == name or module.startswith(f"{name}.")] == []

    def test_no_thread_is_started(self) -> None:
        assert output_of("import ctxmgr, threading; print(threading.active_count())").strip() == "1"

    def test_no_logging_is_set_up(self) -> None:
        program = (
            "import ctxmgr, logging\n"
            "loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]\n"
            "ours = [each for each in loggers if each.name.startswith('ctxmgr') or each is logging.getLogger()]\n"
            "print([each.name for each in ours if each.handlers or each.filters or each.level not in (0, 30)])"
        )
        assert output_of(program).strip() == "[]"

    def test_no_file_is_written(self, tmp_path: Path) -> None:
        output_of("import ctxmgr", options=("-B",), cwd=tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_no_warning_is_given(self) -> None:
        output_of("import ctxmgr", options=("-W", "error"))

    def test_everything_that_is_announced_is_there(self) -> None:
        assert [name for name in ctxmgr.__all__ if not hasattr(ctxmgr, name)] == []

    @pytest.mark.parametrize("package", ["ctxmgr", "ctxmgr_async"])
    def test_public_modules_are_attributes(self, package: str) -> None:
        assert output_of(f"import {package}; print({package}.Context.__name__)").strip() == "Context"
        assert output_of("import ctxmgr; print(ctxmgr.results.Context.__name__)").strip() == "Context"


def forget(clients: list[Client]) -> list[str]:
    """Let go of clients; return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clients.clear()
        gc.collect()
    return [f"{warning.category.__name__}: {warning.message}" for warning in caught]


class TestUnclosed:
    def test_a_client_that_was_not_closed_warns(self) -> None:
        (warning,) = forget([Client(api_key=KEY, endpoint="http://127.0.0.1:1")])
        assert warning.startswith("ResourceWarning: unclosed <ctxmgr.client.Client ")

    def test_the_warning_does_not_show_the_credential(self) -> None:
        assert KEY not in str(forget([Client(api_key=KEY, endpoint="http://127.0.0.1:1")]))

    def test_a_client_that_was_closed_does_not(self) -> None:
        client = Client(api_key=KEY, endpoint="http://127.0.0.1:1")
        client.close()
        clients = [client]
        del client
        assert forget(clients) == []

    def test_a_client_that_could_not_be_made_does_not(self) -> None:
        with pytest.raises(ctxmgr.ConfigError):
            Client(api_key=KEY, endpoint="nowhere")
        assert forget([]) == []
