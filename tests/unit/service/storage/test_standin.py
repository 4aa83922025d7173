"""Data folders on disks that are full or read-only: what was kept can be restored, and nothing claims to be kept.

The disks are real: a small tmpfs, mounted where only the test's own processes see it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STATES = {
    "read-only": 'mount -o remount,ro "$DATA"',
    "full": 'head -c 64M /dev/zero > "$DATA/filler" || true',
}
FILL = """
    import os, pathlib, sys
    from ctxmgr import Client
    here = pathlib.Path(sys.argv[1])
    (here / "deep").mkdir(parents=True)
    (here / "a").write_text("one")
    (here / "deep" / "b").write_bytes(os.urandom(300_000))
    client = Client.local(os.environ["CTXMGR_HOME"])
    context = client.contexts.get("demo", create=True).context
    session = client.sessions.create(root=str(here), bind={"/": context}).session
    assert session.context.sync().success
    if "killed" in sys.argv:
        os._exit(0)
    client.close()
"""
READ = """
    import filecmp, os, pathlib, sys
    from ctxmgr import Client
    here, there = map(pathlib.Path, sys.argv[1:3])
    with Client.local(os.environ["CTXMGR_HOME"]) as client:
        (context,) = client.contexts.list().contexts
        assert sorted(file.path.rstrip("/") for file in client.files.iter(context.id)) == ["/a", "/deep", "/deep/b"]
        client.files.download(context.id, "/a", there.parent / "single").raise_for_error()
        assert (there.parent / "single").read_text() == "one"
        there.mkdir()
        session = client.sessions.create(root=str(there), bind={"/": context}).session
        assert session.context.sync(mode="download").success
        assert filecmp.cmpfiles(here, there, ["a", "deep/b"], shallow=False) == (["a", "deep/b"], [], [])
"""
WRITE = """
    import os, pathlib, sys
    from ctxmgr import Client
    here = pathlib.Path(sys.argv[1])
    with Client.local(os.environ["CTXMGR_HOME"]) as client:
        (context,) = client.contexts.list().contexts
        session = client.sessions.create(root=str(here), bind={"/": context}).session
        assert session.context.sync().nothing_to_sync
        (here / "a").unlink()
        for change in (
            lambda: session.context.sync(),
            lambda: client.contexts.get("other", create=True),
            lambda: client.contexts.delete(context.id),
            lambda: client.files.delete(context.id, "/a"),
        ):
            result = change()
            assert not result.success
            assert "ServiceUnavailable.ReadOnly" in result.error_message, result.error_message
            assert os.environ["CTXMGR_HOME"] in result.error_message, result.error_message
        (here / "new").write_text("new")
        assert "can't be stored" in session.context.sync().error_message
"""


def private_mounts() -> list[str]:
    """What makes a process able to mount something that no other sees."""
    for options in (["-m"], ["-rm"]):
        command = ["unshare", *options]
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    pytest.skip("nothing can be mounted here: unshare is missing or not permitted")


def run(folder: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    """Run the steps of a shell script, each of which must succeed, with a data folder on a disk of its own."""
    (folder / "data").mkdir()
    script = "\n".join(("set -e", 'mount -t tmpfs -o size=4m,mode=700 tmpfs "$DATA"', *steps))
    environment = {**os.environ, "DATA": str(folder / "data"), "CTXMGR_HOME": str(folder / "data")}
    command = [*private_mounts(), "sh", "-c", script]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def step(program: str, *arguments: str) -> str:
    """A Python program as a line of a shell script."""
    name = f"{abs(hash(program))}.py"
    return f"cat > {name} <<'END'\n{textwrap.dedent(program)}END\n{sys.executable} {name} {' '.join(arguments)}"


@pytest.mark.parametrize("end", ["closed", "killed"])
@pytest.mark.parametrize("state", STATES)
def test_what_is_in_a_folder_that_cannot_be_written_can_be_listed_read_and_restored(
    tmp_path: Path, state: str, end: str
) -> None:
    done = run(tmp_path, step(FILL, "here", end), STATES[state], step(READ, "here", "there"))
    assert done.returncode == 0, done.stderr
    assert "it is open for reading only" in done.stderr


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_claimed_to_be_kept_in_a_folder_that_cannot_be_written(tmp_path: Path, state: str) -> None:
    done = run(tmp_path, step(FILL, "here"), STATES[state], step(WRITE, "here"))
    assert done.returncode == 0, done.stderr


def test_the_folder_goes_on_where_it_was_once_there_is_room(tmp_path: Path) -> None:
    again = 'rm "$DATA/filler"'
    program = READ.replace("there.mkdir()", "(here / 'c').write_text('c'); there.mkdir()")
    upload = """
        import os
        from ctxmgr import Client
        with Client.local(os.environ["CTXMGR_HOME"]) as client:
            (context,) = client.contexts.list().contexts
            session = client.sessions.create(root="here", bind={"/": context}).session
            result = session.context.sync()
            assert (result.success, result.files, result.revision) == (True, 1, 2), result
    """
    done = run(
        tmp_path,
        step(FILL, "here"),
        STATES["full"],
        step(program, "here", "there"),
        again,
        step(textwrap.dedent(upload)),
    )
    assert done.returncode == 0, done.stderr


def test_nothing_that_stood_in_for_the_folder_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    done = run(
        tmp_path,
        step(FILL, "here"),
        STATES["read-only"],
        f"export TMPDIR={tmp_path / 'temporary'}",
        step(READ, "here", "there"),
        'test -z "$(ls "$TMPDIR")"',
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_without_a_catalog_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    program = """
        import os
        from ctxmgr import Client
        from ctxmgr.errors import DataFolderError
        try:
            Client.local(os.environ["CTXMGR_HOME"]).contexts.list()
        except DataFolderError as error:
            assert "no catalog" in str(error), error
        else:
            raise AssertionError("it was opened")
    """
    marker = """echo '{"format": 1}' > "$DATA/ctxmgr.json" """
    done = run(tmp_path, marker, STATES["read-only"], step(program))
    assert done.returncode == 0, done.stderr
