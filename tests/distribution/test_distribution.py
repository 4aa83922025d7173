"""What is published works: wheel and sdist, installed in empty environments and tried out of sight of the source."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the source; return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CTXMGR", "PIP_"))
    }
    environment |= {
        name: value for name, value in os.environ.items() if name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    }
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from the sdist, as a publisher does."""
    out = tmp_path_factory.mktemp("dist")
    clean = out / "source"
    tracked = run("git", "ls-files", "-co", "--exclude-standard", cwd=PROJECT).splitlines()
    for name in tracked:
        target = clean / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / name).is_file():
            target.write_bytes((PROJECT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", out, clean, cwd=out)
    return out


def python_of(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def test_wheel_holds_the_twin_and_not_the_tools(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    wanted = ("client.py", "py.typed", "_io/__init__.py", "_io/http.py")
    assert {f"{package}/{name}" for package in ("ctxmgr", "ctxmgr_async") for name in wanted} <= set(names)
    assert not [name for name in names if name.startswith(("twin/", "tests/"))]


def test_sdist_builds_where_the_generator_can_not_be_had(built: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = python_of(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "-U", "setuptools", cwd=tmp_path)
    offline = ("--no-index", "--no-build-isolation", "--no-deps")
    run(python, "-m", "pip", "wheel", "-q", *offline, "-w", tmp_path, sdist, cwd=tmp_path)
    assert "mypy" not in run(python, "-m", "pip", "list", cwd=tmp_path)
    (rebuilt,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(rebuilt) as ours, zipfile.ZipFile(wheel) as published:
        assert sorted(ours.namelist()) == sorted(published.namelist())
        assert "await " in ours.read("ctxmgr_async/client.py").decode()


@pytest.mark.parametrize("carried", [False, True], ids=["checkout", "sdist"])
def test_only_a_checkout_needs_the_generator(tmp_path: Path, carried: bool) -> None:
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "backend.py").write_bytes((PROJECT / "twin" / "backend.py").read_bytes())
    if carried:
        (tmp_path / "PKG-INFO").touch()
    program = "import sys; sys.path.insert(0, 'twin'); import backend; print(backend.get_requires_for_build_wheel())"
    needed = run(sys.executable, "-W", "ignore", "-c", program, cwd=tmp_path)
    assert ("mypy" in needed) is not carried


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_installed_in_an_empty_environment_it_keeps_and_restores(built: Path, tmp_path: Path, pattern: str) -> None:
    (distribution,) = built.glob(pattern)
    venv.create(tmp_path / "venv", with_pip=True)
    python = python_of(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", f"{distribution}[all]", cwd=tmp_path)
    assert "smoke: done" in run(python, "-I", SMOKE, tmp_path / "work", cwd=tmp_path)


def test_without_extras_it_says_which_one_is_missing(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = python_of(tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", wheel, cwd=tmp_path)
    for statement, extra in (
        ("from ctxmgr_async import Client", "async"),
        (f"from ctxmgr import Client; Client.local({str(tmp_path / 'data')!r}).__enter__()", "local"),
    ):
        program = f"try:\n exec({statement!r})\nexcept ImportError as error:\n print(error)"
        assert f"pip install 'ctxmgr[{extra}]'" in run(python, "-I", "-W", "ignore", "-c", program, cwd=tmp_path)
    command = python.with_name("ctxmgr")
    refused = subprocess.run([str(command), "context", "list"], capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode != 0
    assert "pip install 'ctxmgr[cli]'" in refused.stderr
    assert "Traceback" not in refused.stderr
