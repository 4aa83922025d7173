"""The containers of ``Dockerfile`` and ``compose.yaml``: they are linted, and their commands run here without them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers import LEFT_OUT, PASSWORD, USER, Database, PostgreSQLServer, SeaweedServer

from .asking import Asker
from .serving import REPOSITORY, environment_with

pytestmark = pytest.mark.slow

IMAGE = (REPOSITORY / "Dockerfile").read_text()
SERVICES: Mapping[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]


def of_image(instruction: str) -> list[str]:
    """Return the words of a command of the image."""
    (found,) = re.findall(rf"^{instruction} (\[.*\])$", IMAGE, re.MULTILINE)
    words: list[str] = json.loads(found)
    return words


def test_the_image_passes_its_linter() -> None:
    command = [Path(sysconfig.get_path("scripts"), "hadolint"), REPOSITORY / "Dockerfile"]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_no_secret_stands_in_the_files() -> None:
    secret = re.compile("(?:PASSWORD|SECRET)[^=]*$")
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            assert value.startswith("${") or not secret.search(name), name
            assert re.search(r":\$\{\w+:[^}]*\}@", value) or "@" not in value, name


def test_both_servers_work_over_the_database_and_the_store_as_they_are_configured(
    database: Database, postgresql_server: PostgreSQLServer, seaweed_server: SeaweedServer, tmp_path: Path
) -> None:
    assert of_image("ENTRYPOINT") == ["ctxmgr"]
    here = {
        "POSTGRES_PASSWORD": PASSWORD,
        "STORE_SECRET": seaweed_server.environment["AWS_SECRET_ACCESS_KEY"],
        "@catalog/ctxmgr": f"@127.0.0.1:{postgresql_server.port}/{database.name}",
        "s3://ctxmgr/contexts": f"s3://ctxmgr/{database.name}",
        "http://store:8333": seaweed_server.environment["AWS_ENDPOINT_URL"],
    }
    key, seen = "", []
    for name in ("one", "two"):
        configured = {name: placed(value, here) for name, value in SERVICES[name]["environment"].items()}
        # The store of the tests has a key of its own.
        configured["AWS_ACCESS_KEY_ID"] = seaweed_server.environment["AWS_ACCESS_KEY_ID"]
        environment = environment_with(**configured, CTXMGR_HOME=str(tmp_path / name))
        ctxmgr = [sys.executable, "-m", "ctxmgr"]
        if not key:
            made = subprocess.run(
                [*ctxmgr, "key", "create", "laptop"], env=environment, capture_output=True, text=True, check=True
            )
            key = made.stdout.strip()
        command = [*ctxmgr, *of_image("CMD"), "--port", "0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                port = server.stdout.readline().strip().rpartition(":")[2]
                healthy = [word.replace("8700", port) for word in of_image(r"    CMD")]
                subprocess.run([sys.executable, *healthy[1:]], check=True, timeout=30)
                with Asker(f"http://127.0.0.1:{port}", key) as asker:
                    seen.append([context["Name"] for context in asker.data("ListContexts")])
                    asker.context(f"made at {name}")
            finally:
                server.terminate()
            assert server.wait() == 0
    assert seen == [[], ["made at one"]]


def test_the_database_is_asked_whether_it_is_ready(postgresql_server: PostgreSQLServer) -> None:
    kind, *command = SERVICES["catalog"]["healthcheck"]["test"]
    assert (kind, SERVICES["catalog"]["environment"]["POSTGRES_USER"]) == ("CMD", USER)
    subprocess.run([*command, "--host=127.0.0.1", f"--port={postgresql_server.port}"], check=True)


def test_the_store_is_told_what_that_of_the_tests_is() -> None:
    kind, *options = SERVICES["store"]["command"]
    assert kind == "mini"
    assert set(options) == {"-dir=/data", "-ip.bind=0.0.0.0", *LEFT_OUT}


def placed(value: str, here: Mapping[str, str]) -> str:
    """Return a value of the file with what its variables and the names of its services stand for."""
    value = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: here[found[1]], value)
    for name, place in here.items():
        value = value.replace(name, place)
    return value
