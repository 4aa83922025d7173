"""How the command ends when something is missing, closed, full, or simply wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctxmgr.cli.commands import COMMANDS, sync
from tests.cli.commandline import Command, environment

pytestmark = pytest.mark.slow


def _python(command: Command, code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **environment()}
    line = [sys.executable, "-c", code]
    return subprocess.run(line, cwd=command.place, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["click", "rich", "platformdirs"])
def test_without_its_extra_it_says_what_to_install(command: Command, missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from ctxmgr.cli import main; sys.exit(main(['--version']))"
    ended = _python(command, code)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"ctxmgr: the command needs {missing}: pip install 'ctxmgr[cli]'\n"


def test_without_the_services_extra_it_says_what_to_install(command: Command, workspace: Path) -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None; from ctxmgr.cli import main; "
        "sys.exit(main(['sync', 'workspace', '-c', 'project']))"
    )
    ended = _python(command, code)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "pip install 'ctxmgr[local]'" in ended.stderr


def test_what_draws_the_bar_is_imported_only_to_draw_it(command: Command, workspace: Path) -> None:
    code = (
        "import sys; from ctxmgr.cli import main; main(['sync', 'workspace', '-c', 'project']); "
        "print(sorted({'rich', 'platformdirs', 'aiohttp'} & sys.modules.keys()))"
    )
    assert _python(command, code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("line", [["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_and_version_do_not_import_what_is_heavy(command: Command, line: list[str]) -> None:
    heavy = {"rich", "sqlalchemy", "obstore", "msgspec", "requests", "ctxmgr.client", "ctxmgr.engine", "ctxmgr.service"}
    code = (
        f"import sys; from ctxmgr.cli import main; assert main({line}) == 0; "
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    assert _python(command, code).stdout.splitlines()[-1] == "[]"


def test_the_version_needs_no_more_than_the_argument_parser(command: Command) -> None:
    ended = _python(command, "import sys; from ctxmgr.cli import main; main(['--version']); print(*sys.modules)")
    imported = set(ended.stdout.splitlines()[-1].split())
    assert not {"attr", "ctxmgr.results", "ctxmgr.policies", "concurrent.futures"} & imported


@pytest.mark.parametrize(("line", "imported"), [(["--version"], []), (["--help"], []), (["key", "--help"], ["key"])])
def test_only_the_command_that_runs_is_imported(command: Command, line: list[str], imported: list[str]) -> None:
    code = (
        f"import sys; from ctxmgr.cli import main; assert main({line}) == 0; "
        "print([name.rpartition('.')[2] for name in sys.modules if name.startswith('ctxmgr.cli.commands.')])"
    )
    assert _python(command, code).stdout.splitlines()[-1] == str(imported)


def test_python_m_is_the_command(command: Command, workspace: Path) -> None:
    ended = command.separately("sync", "workspace", "-c", "project")
    assert ended.succeeded() == "uploaded 2 files (12.3 kB); revision 1 of project\n"
    assert command.separately("sync", "missing", "-c", "project").failed().startswith("missing does not exist")
    assert command.separately("sync").failed(2).startswith("Missing argument")


def test_a_reader_that_goes_away_is_no_noise(command: Command, workspace: Path) -> None:
    for number in range(2000):
        (workspace / f"a file with a rather long name, number {number}").touch()
    command.sync("workspace")
    with command.process("file", "list", "project") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("arguments", [["sync", "workspace", "-c", "project"], ["file", "list", "gone", "--json"]])
def test_an_answer_that_cannot_be_written_is_no_success(
    command: Command, workspace: Path, arguments: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        ended = command.separately(*arguments, stdout=full)
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err


def test_closed_streams_are_no_failure(command: Command, workspace: Path) -> None:
    line = f"{sys.executable} -m ctxmgr sync workspace -c project"
    environ = {**os.environ, **environment()}
    for closed in (">&-", "2>&-", "<&-"):
        assert subprocess.run(f"{line} {closed}", shell=True, env=environ, check=False).returncode == 0
    assert subprocess.run(f"{line}/ 2>&-", shell=True, env=environ, check=False).returncode == 1


def test_what_the_streams_encoding_lacks_is_escaped(command: Command) -> None:
    ended = command.separately("context", "create", "caf\xe9 \u732b", env={"PYTHONIOENCODING": "ascii"})
    assert ended.succeeded() == "created caf\\xe9 \\u732b\n"


def test_the_unexpected_is_one_sentence(command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*args: object) -> None:
        raise KeyError("some\nthing\x1b[31m")

    monkeypatch.setattr(sync, "kept_session", break_down)
    sentence = command.sync("workspace").failed()
    assert sentence.startswith("unexpected KeyError: ")
    assert sentence.endswith("CTXMGR_DEBUG=1 shows where it came from")


def test_the_unexpected_shows_where_it_came_from_when_asked(
    command: Command, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*args: object) -> None:
        raise KeyError("something")

    monkeypatch.setattr(sync, "kept_session", break_down)
    monkeypatch.setenv("CTXMGR_DEBUG", "1")
    ended = command.sync("workspace")
    assert ended.status == 1
    assert "Traceback" in ended.err
    assert "break_down" in ended.err


def test_what_the_library_warns_of_is_a_line_after_a_success(command: Command, workspace: Path) -> None:
    command.sync("workspace")
    (state,) = (command.home / "workspaces").iterdir()
    state.write_bytes(b"damaged")
    ended = command.sync("workspace")
    assert ended.out == "nothing changed: project is at revision 1\n"
    assert ended.sentence.startswith("warning: ")


def test_two_runs_at_once_keep_one_session(command: Command, workspace: Path) -> None:
    line = ("sync", "workspace", "-c", "project")
    running = [command.process(*line) for _ in range(3)]
    for process in running:
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")
    from ctxmgr import Client

    with Client.local(command.home) as client:
        assert len(list(client.sessions.iter())) == 1
