"""AgentBay's own SDK, unmodified and as PyPI has it, works with ``ctxmgr serve``: the examples for it run."""

from __future__ import annotations

import os
import subprocess
import venv
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.cli.attaching import Attached, attaching
from tests.cli.commandline import tree
from tests.docs import run_blocks

from .serving import serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"

CONTROLLER = """
import os, sys
from agentbay import AgentBay, AgentBayLogger, Config, ContextSync, CreateSessionParams

AgentBayLogger.setup(level="CRITICAL", enable_file=False)
bay = AgentBay(os.environ["AGENTBAY_API_KEY"], cfg=Config(endpoint=sys.argv[1]))
context = bay.context.get("sandboxes", create=True).context
if len(sys.argv) == 3:
    session, mount = bay.get(sys.argv[2]).session, "/"
else:
    mount = "/work"
    made = bay.create(CreateSessionParams(context_syncs=[ContextSync.new(context.id, mount)]))
    assert made.success, made.error_message
    session = made.session
print(session.session_id, flush=True)
input()
synced = session.context.sync()
assert synced.success, synced
(task,) = session.context.info(context.id, mount, "upload").context_status_data
assert task.status == "Success", task
print(*sorted(entry.file_name for entry in bay.context.list_files(context.id, mount).entries), flush=True)
input()
ended = bay.delete(session, sync_context=True)
assert ended.success, ended.error_message
assert not bay.get(session.session_id).success
print("deleted", flush=True)
"""
"""What a controller does with the SDK alone: it goes on at each line that it reads."""

SDK = "wuying-agentbay-sdk==0.22.3"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def sdk_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the SDK and nothing of ours."""
    folder = tmp_path_factory.mktemp("sdk")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", SDK]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if installed.returncode:
        pytest.fail(f"pip could not install {SDK}; is PyPI within reach?\n{installed.stderr}", pytrace=False)
    return python


@pytest.fixture
def trusted(tmp_path: Path) -> dict[str, Path]:
    """A certificate for localhost, its key, and the authority that vouches for it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    files = {name: tmp_path / f"{name}.pem" for name in ("authority", "certificate", "key")}
    authority.cert_pem.write_to_path(str(files["authority"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    files["certificate"].write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return files


@pytest.mark.timeout(400)
def test_the_document_runs(sdk_python: Path, trusted: dict[str, Path], tmp_path: Path) -> None:
    ours = [
        str(sdk_python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "attrs",
        "cattrs",
        "aiohttp",
    ]
    subprocess.run(ours, timeout=300, check=True)
    data = tmp_path / "data"
    with serving(data, "--tls-cert", trusted["certificate"], "--tls-key", trusted["key"], CTXMGR_API_KEY=KEY) as server:
        environment = {
            **os.environ,
            "AGENTBAY_API_KEY": KEY,
            "AGENTBAY_ENDPOINT": f"localhost:{urlsplit(server.address).port}",
            "AGENTBAY_LOG_FILE": str(tmp_path / "sdk.log"),
            "CTXMGR_CA_BUNDLE": str(trusted["authority"]),
            "PYTHONPATH": str(EXAMPLES.parent),
            "REQUESTS_CA_BUNDLE": str(trusted["authority"]),
            "SSL_CERT_FILE": str(trusted["authority"]),
        }
        command = [str(sdk_python), run_blocks.__file__, str(EXAMPLES.parent / "docs" / "agentbay.md")]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert Path(f"{data}.log").read_text().count('"action": "SyncContext", "code": "ok"') == 6


@pytest.mark.timeout(400)
@pytest.mark.parametrize("example", ["agentbay_sdk.py", "agentbay_sdk_async.py"])
def test_the_example_runs(example: str, sdk_python: Path, trusted: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, "--tls-cert", trusted["certificate"], "--tls-key", trusted["key"], CTXMGR_API_KEY=KEY) as server:
        endpoint = f"localhost:{urlsplit(server.address).port}"
        environment = {
            **os.environ,
            "AGENTBAY_API_KEY": KEY,
            "AGENTBAY_LOG_FILE": str(tmp_path / "sdk.log"),
            "SSL_CERT_FILE": str(trusted["authority"]),
            "REQUESTS_CA_BUNDLE": str(trusted["authority"]),
        }
        ran = subprocess.run(
            [sdk_python, EXAMPLES / example, endpoint, data / "sessions"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert ran.stdout.endswith("done\n")
    assert KEY not in Path(f"{data}.log").read_text(), "the SDK puts its key in the query of SyncContext"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("first", ["the sandbox", "the controller"])
def test_a_sandbox_elsewhere_is_synced_for_a_controller(
    first: str, sdk_python: Path, trusted: dict[str, Path], tmp_path: Path
) -> None:
    data, script = tmp_path / "data", tmp_path / "controller.py"
    script.write_text(CONTROLLER)
    with serving(data, "--tls-cert", trusted["certificate"], "--tls-key", trusted["key"], CTXMGR_API_KEY=KEY) as server:
        address = f"localhost:{urlsplit(server.address).port}"
        controllers = {
            "AGENTBAY_API_KEY": KEY,
            "AGENTBAY_LOG_FILE": str(tmp_path / "sdk.log"),
            "SSL_CERT_FILE": str(trusted["authority"]),
            "REQUESTS_CA_BUNDLE": str(trusted["authority"]),
        }

        def sandbox(name: str, *arguments: str) -> AbstractContextManager[Attached]:
            (tmp_path / name).mkdir()
            environment = {"CTXMGR_ENDPOINT": f"https://{address}", "CTXMGR_API_KEY": KEY}
            trust = {"CTXMGR_CA_BUNDLE": str(trusted["authority"])}
            home = tmp_path / f"home of {name}"
            return attaching(tmp_path / name, *arguments, home=home, **environment, **trust)

        with ExitStack() as stack:
            line = [str(sdk_python), str(script), address]
            if first == "the sandbox":
                running = stack.enter_context(sandbox("one", "-c", "sandboxes"))
                line.append(running.next("attached")["session"])
            controller = stack.enter_context(
                subprocess.Popen(
                    line,
                    cwd=tmp_path,
                    env={**os.environ, **controllers},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(controller.kill)
            assert controller.stdin is not None
            assert controller.stdout is not None
            session_id = controller.stdout.readline().strip()
            work = tmp_path / "one"
            if first == "the controller":
                running = stack.enter_context(sandbox("one", "--session", session_id))
                running.next("attached")
                work = work / "work"
            assert running.session_id == session_id
            (work / "notes").mkdir(parents=True)
            (work / "notes" / "first.txt").write_text("first")
            (work / "todo.txt").write_text("todo")
            print(file=controller.stdin, flush=True)
            assert controller.stdout.readline() == "notes todo.txt\n"
            assert running.next("synced", mode="upload")["files"] == 2
            (work / "last.txt").write_text("last")
            print(file=controller.stdin, flush=True)
            assert controller.stdout.readline() == "deleted\n"
            assert running.next("synced", mode="upload")["files"] == 1
            running.wait_for_complaint(f"the session {session_id} is over here")
            with sandbox("two", "-c", "sandboxes") as second:
                second.next("attached")
                assert tree(tmp_path / "two") == tree(tmp_path / "one")
                assert len(tree(work)) == 3
