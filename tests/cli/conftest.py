"""A command line with a data folder and a working directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commandline import Command


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    place = tmp_path / "place"
    place.mkdir()
    home = tmp_path / "home"
    monkeypatch.chdir(place)
    monkeypatch.setenv("CTXMGR_HOME", str(home))
    return Command(home=home, place=place, captured=capsys)


@pytest.fixture
def workspace(command: Command) -> Path:
    """A directory with something in it, in the working directory."""
    folder = command.place / "workspace"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "sub" / "b.txt").write_text("x" * 12_300)
    return folder
