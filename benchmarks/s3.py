"""What keeping a directory in an S3 store costs, beside restic: whole commands on the same kind of server, in turn.

    python benchmarks/s3.py [--rounds 5] [--trees packages,small,big] [--scale 1.0]

As benchmarks/engine.py, but that each tool keeps its content in a SeaweedFS of its own on 127.0.0.1: ours by `--store`,
restic by its `s3:` repository. Prints also how many requests each step was to the store, for 1,000 files of the tree,
as the server counts them: those are what a store is paid for.

SeaweedFS comes with the extra `dev`. restic is Debian's package; where it is not installed it is named and left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import obstore
import requests
from engine import STEPS, TREES, Restic, Tool, as_installed, compare
from obstore.store import S3Store
from prometheus_client.parser import text_string_to_metric_families
from remote import SECONDS_TO_START, Remote, free_port

BUCKET = "benchmark"
KEY = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-of-the-benchmark", "AWS_REGION": "us-east-1"}

counted: dict[tuple[str, str, str], list[float]] = defaultdict(list)
"""Requests for 1,000 files, by tool, step and kind of request: one number a round."""


class OnSeaweed(Remote):
    """A tool, and a store of its own that counts what it is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._port, self._metrics = free_port(), free_port()
        self._before: list[Counter[str]] = []
        self._files = 0
        self.url = f"http://127.0.0.1:{self._port}"

    def prepare(self) -> None:
        store = self.folder / "store"
        store.mkdir()
        command = [str(Path(sysconfig.get_path("scripts")) / "weed"), "mini", f"-dir={store}", "-ip=127.0.0.1"]
        command += ["-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false", f"-s3.port={self._port}"]
        command += [f"-metricsPort={self._metrics}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{name}.port={free_port()}" for name in ("master", "volume", "filer", "admin")]
        command += [f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3", "admin")]
        self.start(command, {**os.environ, **KEY}, self._port)
        self._await()

    def upload(self, tree: Path) -> Sequence[str]:
        self._files = self._files or sum(not file.is_dir() for file in tree.rglob("*"))
        self._before.append(self._requests())
        return super().upload(tree)

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        self._before.append(self._requests())
        return super().restore(tree, target)

    def close(self) -> None:
        if len(self._before) == len(STEPS):
            after = [*self._before[1:], self._requests()]
            for step, before, now in zip(STEPS, self._before, after, strict=True):
                for kind in ("PUT", "GET", "LIST", "DELETE"):
                    counted[self.name, step, kind].append((now[kind] - before[kind]) * 1000 / self._files)
        super().close()

    def _await(self) -> None:
        """Wait until the store takes something."""
        store = S3Store(
            BUCKET,
            endpoint=self.url,
            access_key_id=KEY["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEY["AWS_SECRET_ACCESS_KEY"],
            region=KEY["AWS_REGION"],
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                obstore.put(store, "started", b"started")
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _requests(self) -> Counter[str]:
        text = requests.get(f"http://127.0.0.1:{self._metrics}/metrics", timeout=SECONDS_TO_START).text
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "SeaweedFS_s3_request_total":
                    found[sample.labels["type"]] += int(sample.value)
        return found


class Ours(OnSeaweed, Tool):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= {**KEY, "CTXMGR_HOME": str(folder / "home"), "CTXMGR_STORE": f"s3://{BUCKET}/kept"}
        self.environment["AWS_ENDPOINT_URL"] = self.url


class ResticOnS3(OnSeaweed, Restic):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= {**KEY, "RESTIC_REPOSITORY": f"s3:{self.url}/{BUCKET}"}

    def prepare(self) -> None:
        super().prepare()
        Restic.prepare(self)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trees", default="packages", help=f"of {', '.join(TREES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the trees' numbers of files, or of bytes")
    options = parser.parse_args()
    tools: list[type[Tool]] = [Ours]
    if shutil.which("restic") is None:
        print("restic is left out: apt-get install restic")
    else:
        tools.append(ResticOnS3)
    as_installed()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        for name in options.trees.split(","):
            counted.clear()
            compare(name, tools, Path(folder) / name, options.rounds, options.scale)
            print("requests for 1,000 files (PUT, GET, LIST, DELETE)")
            for tool in tools:
                kinds = [
                    [statistics.median(counted[tool.name, step, kind]) for kind in ("PUT", "GET", "LIST", "DELETE")]
                    for step in STEPS
                ]
                told = "  ".join(
                    f"{step} {'/'.join(f'{each:.2f}' for each in of)}" for step, of in zip(STEPS, kinds, strict=True)
                )
                print(f"{tool.name:8}{told}")


if __name__ == "__main__":
    main()
