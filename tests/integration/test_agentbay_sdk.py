"""AgentBay's own SDK, unmodified and as PyPI has it, works with ``ctxmgr serve``: the examples for it run."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.docs import run_blocks

from .serving import serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"

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
