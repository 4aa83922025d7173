"""The command, the build hook and the project's own twins."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twin import Refused, TestTree, check, generate, prepare, prove
from twin.__main__ import main
from twin.backend import GENERATOR
from twin.settings import find_root

from .golden import GOLDEN, SETTINGS, make, split_primitives, twin_of

ROOT = find_root()
PROBLEM = "def f(x) -> None: x.send('a')\n"


def small_project(root: Path, **modules: str) -> Path:
    """Make a project as the command's settings describe it: the golden primitives under the real names."""
    make(root, **modules)
    (root / "shop").rename(root / "ctxmgr")
    (root / "shop_async").rename(root / "ctxmgr_async")
    return root


def test_the_command_generates_and_then_finds_it_fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_project(tmp_path, module="from ._io import pause\n")
    assert main(["--root", str(tmp_path)]) == 0
    assert (tmp_path / "ctxmgr_async" / "module.py").is_file()
    assert main(["--root", str(tmp_path), "--check"]) == 0
    assert capsys.readouterr().out.endswith("twin: fresh\n")


def test_the_command_names_what_is_stale_and_how_to_refresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_project(tmp_path, module="from ._io import pause\n")
    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert not (tmp_path / "ctxmgr_async" / "module.py").exists()
    told = capsys.readouterr().err
    assert "ctxmgr_async/module.py: missing" in told
    assert "refresh with: python -m twin" in told


def test_the_command_fails_on_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_project(tmp_path, module="from ._io import pause\n" + "class W:\n    def send(self): pause(1)\n" + PROBLEM)
    assert main(["--root", str(tmp_path)]) == 1
    assert "ctxmgr/module.py:4: can't tell what x is" in capsys.readouterr().err


def test_the_command_fails_on_what_the_second_proof_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "from collections.abc import Iterator\n\nfrom ._io import pause\n\n\nclass Rows:\n"
    rows += "    def __iter__(self) -> Iterator[int]:\n        pause(1)\n        yield 1\n\n\n"
    small_project(tmp_path, module=rows + "def f(x: Rows) -> None:\n    a, b = x\n    print(a, b)\n")
    assert [main(["--root", str(tmp_path)]), main(["--root", str(tmp_path)])] == [1, 1]
    told = capsys.readouterr().err
    assert told.count("problems: change the source there") == 2
    assert 'ctxmgr_async/module.py:13: mypy: "Rows" object is not iterable (generated from ctxmgr/module.py:13)' in told
    assert (tmp_path / "ctxmgr_async" / "module.py").is_file()


@pytest.mark.slow
def test_the_twins_of_this_project_are_proven() -> None:
    assert [str(problem) for problem in prove(prepare(ROOT))] == []


def test_the_checker_is_pinned_alike_for_builds_and_for_development() -> None:
    (pin,) = (requirement for requirement in GENERATOR if requirement.startswith("mypy"))
    assert pin in (ROOT / "setup.cfg").read_text("utf-8").split()


@pytest.mark.slow
def test_the_twins_of_this_project_can_be_generated(tmp_path: Path) -> None:
    generate(ROOT, target=tmp_path)
    assert (tmp_path / "ctxmgr_async" / "client.py").is_file()


def test_the_twins_in_place_are_fresh() -> None:
    stale = check(ROOT)
    assert not stale, "\n".join([*stale, "refresh with: python -m twin"])


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["build", "editable"])
@pytest.mark.parametrize("primitives", ["module", "package"])
def test_the_build_hook_generates_the_package(tmp_path: Path, editable: bool, primitives: str) -> None:
    small_project(tmp_path, module="from ._io import pause\ndef f() -> None: pause(1)\n")
    by_hand, packages = {"_io.py"}, ["ctxmgr", "ctxmgr_async"]
    if primitives == "package":
        split_primitives(tmp_path, "ctxmgr")
        by_hand, packages = {"_io/__init__.py", "_io/wires.py"}, [*packages, "ctxmgr._io", "ctxmgr_async._io"]
    (tmp_path / "ctxmgr_async" / "gone.py").write_text("stale", "utf-8")
    shutil.copytree(ROOT / "twin", tmp_path / "twin", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import sys; sys.path.insert(0, 'twin')\n"
        "from setuptools import Distribution\n"
        "from backend import build_py\n"
        f"built = build_py(Distribution({{'packages': {packages}, 'script_name': 'setup.py'}}))\n"
        f"built.build_lib = 'out'; built.ensure_finalized(); built.editable_mode = {editable}; built.run()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, check=True, capture_output=True)
    built = tmp_path if editable else tmp_path / "out"
    assert "await pause(1)" in (built / "ctxmgr_async" / "module.py").read_text("utf-8")
    twin = built / "ctxmgr_async"
    assert {path.relative_to(twin).as_posix() for path in twin.rglob("*.py")} == {"__init__.py", "module.py", *by_hand}
    assert (tmp_path / "ctxmgr_async" / "module.py").exists() is editable


def test_one_sided_tests_are_left_out(tmp_path: Path) -> None:
    project = shutil.copytree(GOLDEN, tmp_path / "golden", ignore=shutil.ignore_patterns("__pycache__"))
    tree = TestTree("tests/twinned", "tests/_twinned_async", one_sided=("test_shop.py",))
    generate(project, dataclasses.replace(SETTINGS, tests=(tree,)))
    assert {path.name for path in (project / "tests" / "_twinned_async").iterdir()} == {"conftest.py"}


def test_an_exception_for_a_test_that_is_gone_is_refused(tmp_path: Path) -> None:
    tree = TestTree("tests/twinned", "tests/_twinned_async", one_sided=("test_gone.py",))
    with pytest.raises(Refused, match=r"test_gone.py:1: listed as one-sided"):
        generate(GOLDEN, dataclasses.replace(SETTINGS, tests=(tree,)), target=tmp_path)


IMPORTS = {
    "a twinned module": ("from .other import f", "from .other import f"),
    "a shared module": ("from .plain import p", "from shop.plain import p"),
    "both as modules": ("from . import other, plain", "from . import other; from shop import plain"),
    "a shared module by its name": ("from shop.plain import p", "from shop.plain import p"),
    "a twinned module by its name": ("from shop.other import f as g", "from shop_async.other import f as g"),
    "a twinned module as a name": ("import shop.other as o", "import shop_async.other as o"),
    "foreign code": ("from os.path import join", "from os.path import join"),
    "the primitives by their name": ("import shop._io", "import shop_async._io"),
    "several lines": ("from .plain import (\n    p,  # why\n)", "from shop.plain import (\n    p,  # why\n)"),
}


@pytest.mark.parametrize(("source", "twin"), IMPORTS.values(), ids=IMPORTS)
def test_imports(tmp_path: Path, source: str, twin: str) -> None:
    other = "from ._io import pause\ndef f() -> None: pause(1)\n"
    module = f"from ._io import now\n{source}\n"
    assert twin_of(tmp_path, module=module, other=other, plain="p = 1\n") == f"from ._io import now\n{twin}\n"
