"""What keeping a directory on a server costs, beside restic and rsync: whole commands over loopback, in turn.

    python benchmarks/remote.py [--rounds 5] [--trees packages,small,big] [--scale 1.0] [--peers restic,rsync]

As benchmarks/engine.py, but that each tool talks to a server of its own on 127.0.0.1: ours to `ctxmgr serve`, restic to
`rclone serve restic`, rsync to its daemon. Prints also what went over the wire, as a share of the tree. The servers run
before a step begins and are not part of its peak memory; ours is printed by itself.

The peers are Debian's packages `restic` with `rclone`, and `rsync`; what is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine import TREES, Restic, Tool, as_installed, compare, measure

SECONDS_TO_START = 30.0


class Remote(Tool):
    """A tool and its server, which has a folder of its own beside the tool's."""

    server: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], environment: Mapping[str, str], port: int) -> None:
        """Run a server until `close`, and wait until it answers."""
        with (self.folder / "server.log").open("wb") as log:
            self.server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                if time.monotonic() > deadline or self.server.poll() is not None:
                    raise SystemExit(
                        f"{command[0]} did not start: {(self.folder / 'server.log').read_text()}"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait()


class Ours(Remote):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.environment |= {
            "CTXMGR_HOME": str(folder / "home"),
            "CTXMGR_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "CTXMGR_API_KEY": "akm-benchmark",
        }

    def prepare(self) -> None:
        command = [sys.executable, "-m", "ctxmgr", "serve", "--data", str(self.folder / "store")]
        self.start([*command, "--port", str(self.port)], self.environment, self.port)

    def close(self) -> None:
        if self.server is not None:
            status = Path(f"/proc/{self.server.pid}/status")
            peak = (
                next((line for line in status.read_text().splitlines() if "VmHWM" in line), "")
                if status.exists()
                else ""
            )
            print(f"ctxmgr serve: {peak}")
        super().close()


class OverRclone(Remote, Restic):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.environment |= {"RESTIC_REPOSITORY": f"rest:http://127.0.0.1:{self.port}/"}

    def prepare(self) -> None:
        command = ["rclone", "serve", "restic", "--addr", f"127.0.0.1:{self.port}", str(self.folder / "store")]
        self.start(command, os.environ, self.port)
        measure(["restic", "init", "-q"], self.environment)


class Daemon(Remote):
    name = "rsync"

    def prepare(self) -> None:
        port, store, config = free_port(), self.folder / "store", self.folder / "rsyncd.conf"
        store.mkdir()
        config.write_text(f"use chroot = no\n[store]\npath = {store}\nread only = no\nuid = {os.getuid()}\n")
        self.place = f"rsync://127.0.0.1:{port}/store/"
        command = ["rsync", "--daemon", "--no-detach", "--address", "127.0.0.1", f"--port={port}", f"--config={config}"]
        self.start(command, os.environ, port)

    def upload(self, tree: Path) -> Sequence[str]:
        return ["rsync", "-a", "--delete", f"{tree}/", self.place]

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        return ["rsync", "-a", self.place, f"{target}/"]


PEERS: Mapping[str, tuple[type[Tool], Sequence[str]]] = {
    "restic": (OverRclone, ["restic", "rclone"]),
    "rsync": (Daemon, ["rsync"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trees", default="packages", help=f"of {', '.join(TREES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the trees' numbers of files, or of bytes")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    options = parser.parse_args()
    tools: list[type[Tool]] = [Ours]
    for name in options.peers.split(","):
        tool, needed = PEERS[name]
        missing = [program for program in needed if shutil.which(program) is None]
        if missing:
            print(f"{name} is left out: apt-get install {' '.join(missing)}")
        else:
            tools.append(tool)
    as_installed()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        for name in options.trees.split(","):
            compare(name, tools, Path(folder) / name, options.rounds, options.scale, wire=True)


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
