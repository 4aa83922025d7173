"""The twin of the golden project is what it is expected to be, and it runs."""

from __future__ import annotations

import ast
import asyncio
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from twin import check, generate, prepare, prove

from .golden import EXPECTED, GOLDEN, SETTINGS, split_primitives


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return shutil.copytree(GOLDEN, tmp_path / "golden", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def packages(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    generate(project, SETTINGS)
    monkeypatch.syspath_prepend(str(project))
    yield importlib.import_module("shop.trade"), importlib.import_module("shop_async.trade")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "shop_async")]:
        del sys.modules[name]


def test_the_twin_is_the_expected_one(tmp_path: Path) -> None:
    generate(GOLDEN, SETTINGS, target=tmp_path)
    assert files(tmp_path) == files(EXPECTED)


def test_lines_stay_where_they_are() -> None:
    for name, twin in files(EXPECTED).items():
        source = GOLDEN / name.replace("shop_async", "shop").replace("_twinned_async", "twinned")
        lines = source.read_text("utf-8").splitlines()
        assert len(twin.splitlines()) == len(lines) + 1
        for number, (ours, theirs) in enumerate(zip(lines, twin.splitlines(), strict=False), 1):
            if ours.lstrip().startswith(("def ", "class ", "return ", "raise ")):
                assert theirs.lstrip().removeprefix("async ")[:4] == ours.lstrip()[:4], f"{name}:{number}"


def test_the_last_line_names_the_source() -> None:
    for name, twin in files(EXPECTED).items():
        source = name.replace("shop_async", "shop").replace("_twinned_async", "twinned")
        note = f"# Generated from {source} by twin; do not edit: change the source and rebuild."
        assert twin.splitlines()[-1] == note


def test_every_expected_file_is_python() -> None:
    for name, twin in files(EXPECTED).items():
        ast.parse(twin, name)


def test_both_packages_do_the_same(packages: tuple[Any, Any]) -> None:
    blocking, asynchronous = packages

    def run_blocking() -> list[str]:
        with blocking.Shop("corner") as shop:
            return [
                *shop.shelf.texts(),
                shop.shelf.use(),
                shop.shelf.applied(),
                *shop.shelf.known({"a": "text", "b": shop}, [shop]),
                *[parcel.text for parcel in shop.both("one", "two")],
                shop.deliver("", later=False).text,
                shop.deliver("x", later=True).text,
                *blocking.market(blocking.Merchant(shop), blocking.Merchant(shop), blocking.Boxed(shop)),
                *shop._wire.sent,
            ]

    async def run_asynchronous() -> list[str]:
        async with asynchronous.Shop("corner") as shop:
            return [
                *await shop.shelf.texts(),
                await shop.shelf.use(),
                await shop.shelf.applied(),
                *await shop.shelf.known({"a": "text", "b": shop}, [shop]),
                *[parcel.text for parcel in await shop.both("one", "two")],
                (await shop.deliver("", later=False)).text,
                (await shop.deliver("x", later=True)).text,
                *await asynchronous.market(
                    asynchronous.Merchant(shop), asynchronous.Merchant(shop), asynchronous.Boxed(shop)
                ),
                *shop._wire.sent,
            ]

    assert asyncio.run(run_asynchronous()) == run_blocking()


def test_shared_modules_are_the_same_objects(packages: tuple[Any, Any]) -> None:
    assert sys.modules["shop"].Parcel is sys.modules["shop_async"].Parcel


def test_a_fresh_twin_has_no_differences(project: Path) -> None:
    generate(project, SETTINGS)
    assert check(project, SETTINGS) == []


def test_a_stale_twin_is_told(project: Path) -> None:
    generate(project, SETTINGS)
    (project / "shop_async" / "store.py").write_text("stale", "utf-8")
    (project / "shop_async" / "trade.py").unlink()
    (project / "shop_async" / "gone.py").write_text("", "utf-8")
    (project / "tests" / "_twinned_async" / "test_gone.py").write_text("", "utf-8")
    assert check(project, SETTINGS) == [
        "shop_async/gone.py: has no source",
        "shop_async/store.py: differs",
        "shop_async/trade.py: missing",
        "tests/_twinned_async/test_gone.py: has no source",
    ]


def test_generating_removes_what_has_no_source(project: Path) -> None:
    (project / "shop_async" / "gone.py").write_text("", "utf-8")
    generate(project, SETTINGS)
    assert not (project / "shop_async" / "gone.py").exists()
    assert (project / "shop_async" / "_io.py").exists()


def test_primitives_that_are_a_package_give_the_same_twin_and_stay_as_they_are(project: Path) -> None:
    split_primitives(project)
    by_hand = files(project / "shop_async" / "_io")
    generate(project, SETTINGS)
    twin = files(project / "shop_async")
    assert {name: text for name, text in twin.items() if not name.startswith("_io/")} == files(EXPECTED / "shop_async")
    assert files(project / "shop_async" / "_io") == by_hand
    assert sorted(by_hand) == ["__init__.py", "wires.py"]
    assert prove(prepare(project, SETTINGS)) == []
    assert check(project, SETTINGS) == []
