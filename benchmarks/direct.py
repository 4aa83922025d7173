"""What a server has to do for a directory elsewhere, whose content goes through it to an S3 store, or past it.

    python benchmarks/direct.py [--megabytes 128]

One `ctxmgr serve` on a SeaweedFS on 127.0.0.1, without and with `--store-endpoint`; a first upload of files of 1 MB
that can't be compressed, and a restore. Prints the server's seconds of CPU, the bytes of bodies that it received from
nodes and sent to them, their requests, and its peak memory so far.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine import as_installed, measure
from remote import free_port
from s3 import Ours

API_KEY = "akm-benchmark"


class Server:
    """A server, and what it did since it was last asked."""

    def __init__(self, folder: Path, environment: dict[str, str], options: Sequence[str]) -> None:
        self._log = folder / "log"
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "ctxmgr", "serve", "--data", str(folder / "data"), "--port", str(port)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit(f"the server did not start: {self._log.read_text()}")
        self._lines = 0
        self._cpu = self._seconds()

    def told(self) -> str:
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        answered, self._lines = [line for line in lines[self._lines :] if "action" in line], len(lines)
        cpu, self._cpu = self._seconds() - self._cpu, self._seconds()
        received, sent = (sum(line[name] for line in answered) / 1e6 for name in ("received", "sent"))
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        moved = f"{received:7.2f} MB in  {sent:7.2f} MB out  {len(answered):4} requests"
        return f"{cpu:6.2f} s of CPU  {moved}  {peak:4.0f} MiB"

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=128)
    options = parser.parse_args()
    as_installed()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as made:
        folder = Path(made)
        tree = folder / "tree"
        tree.mkdir()
        for number in range(options.megabytes):
            (tree / str(number)).write_bytes(os.urandom(1_000_000))
        for name in ("through", "past"):
            place = folder / name
            place.mkdir()
            store = Ours(place)
            store.prepare()
            past = ["--store-endpoint", store.url] if name == "past" else []
            server = Server(place, store.environment | {"CTXMGR_API_KEY": API_KEY}, past)
            node = {**os.environ, "CTXMGR_API_KEY": API_KEY, "CTXMGR_ENDPOINT": server.address}
            try:
                for mode, root in (("upload", tree), ("download", place / "restored")):
                    root.mkdir(exist_ok=True)
                    command = [sys.executable, "-m", "ctxmgr", "sync", str(root), "--context", "c", "--mode", mode]
                    measure(command, node | {"CTXMGR_HOME": str(place / mode)})
                    print(f"{name:8} {mode:9}{server.told()}", flush=True)
            finally:
                server.end()
                store.close()


if __name__ == "__main__":
    main()
