"""What keeping a directory costs, beside restic, borg, rsync and cp: whole commands, run in turn on the same machine.

    python benchmarks/engine.py [--rounds 5] [--trees packages,small,big] [--scale 1.0] [--peers restic,rsync,borg]

For each tree every tool does, in this order: a first upload, one where nothing changed, one after 1 % of the files
were edited, and a restore into an empty directory. The page cache is warm. Prints medians of wall seconds, peak memory
of the largest process, the size of the store, and the ratios ours / peer, round by round, as a median.

The peers are Debian's packages `restic`, `borgbackup` and `rsync`; one that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import compileall
import os
import random
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

import ctxmgr

STEPS = ("first", "none", "edit", "restore")


@attrs.frozen
class Measured:
    """One command: wall seconds, the peak memory of its largest process, and what went over loopback, in bytes.

    Attributes:
        wire: of all processes of the machine: run nothing else beside. 0 where the system does not count it.
    """

    seconds: float
    peak: int
    wire: int


class Tool:
    """A tool that keeps a directory.

    Args:
        folder: where it keeps what it keeps; empty.
    """

    name = "ctxmgr"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "CTXMGR_HOME": str(folder)}

    def prepare(self) -> None:
        """Make ready what is not part of the first upload."""

    def upload(self, tree: Path) -> Sequence[str]:
        return [sys.executable, "-m", "ctxmgr", "sync", str(tree), "--context", "kept"]

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "ctxmgr", "sync", str(target), "--context", "kept"),
            *("--mode", "download"),
        ]

    def close(self) -> None:
        """End what `prepare` has started."""


class Restic(Tool):
    name = "restic"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        settings = {"RESTIC_REPOSITORY": str(folder / "store"), "RESTIC_PASSWORD": "benchmark"}
        self.environment = {**os.environ, **settings, "RESTIC_CACHE_DIR": str(folder / "cache")}

    def prepare(self) -> None:
        measure(["restic", "init", "-q"], self.environment)

    def upload(self, tree: Path) -> Sequence[str]:
        return ["restic", "backup", "-q", str(tree)]

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        return ["restic", "restore", "latest", "-q", "--target", str(target)]


class Borg(Tool):
    name = "borg"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        settings = {"BORG_REPO": str(folder / "store"), "BORG_BASE_DIR": str(folder / "base")}
        self.environment = {**os.environ, **settings}
        self.kept = 0

    def prepare(self) -> None:
        (self.folder / "base").mkdir()
        measure(["borg", "init", "-e", "none"], self.environment)

    def upload(self, tree: Path) -> Sequence[str]:
        self.kept += 1
        return ["borg", "create", f"::{self.kept}", str(tree)]

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        return ["sh", "-c", f"cd '{target}' && exec borg extract ::{self.kept}"]


class Rsync(Tool):
    name = "rsync"

    def upload(self, tree: Path) -> Sequence[str]:
        return ["rsync", "-a", "--delete", f"{tree}/", f"{self.folder}/store/"]

    def restore(self, tree: Path, target: Path) -> Sequence[str]:
        return ["rsync", "-a", f"{self.folder}/store/", f"{target}/"]


PEERS: Mapping[str, type[Tool]] = {tool.name: tool for tool in (Restic, Rsync, Borg)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trees", default=",".join(TREES), help=f"of {', '.join(TREES)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the trees' numbers of files, or of bytes")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    options = parser.parse_args()
    peers = [PEERS[name] for name in options.peers.split(",") if name]
    for peer in [peer for peer in peers if shutil.which(peer.name) is None]:
        print(f"{peer.name} is not installed and left out: apt-get install {peer.name.replace('borg', 'borgbackup')}")
        peers.remove(peer)
    as_installed()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        for name in options.trees.split(","):
            compare(name, [Tool, *peers], Path(folder) / name, options.rounds, options.scale)


def compare(
    name: str, tools: Sequence[type[Tool]], folder: Path, rounds: int, scale: float, *, wire: bool = False
) -> None:
    """Run every tool on one tree, in turn, and print what each took.

    Args:
        wire: print also what went over loopback.
    """
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    moved: dict[tuple[str, str], list[int]] = defaultdict(list)
    peaks: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = {}
    whole = 0
    for number in range(rounds):
        for tool_class in tools:
            place = folder / f"{number}-{tool_class.name}"
            tree, kept = place / "tree", place / "kept"
            kept.mkdir(parents=True)
            TREES[name](tree, scale)
            whole = sum(file.lstat().st_size for file in tree.rglob("*") if not file.is_dir())
            tool = tool_class(kept)
            try:
                tool.prepare()
                steps = run(tool, tree, place / "restored", number)
            finally:
                tool.close()
            for step, measured in steps:
                seconds[tool.name, step].append(measured.seconds)
                moved[tool.name, step].append(measured.wire)
                peaks[tool.name] = max(peaks[tool.name], measured.peak)
            sizes[tool.name] = sum(file.lstat().st_size for file in kept.rglob("*"))
            place.rename(folder / f"done-{number}-{tool_class.name}")  # a mass deletion would slow the next one down
    print(f"\n{name}: medians of {rounds} rounds")
    print(f"{'':8}" + "".join(f"{step:>10}" for step in STEPS) + f"{'peak MB':>10}{'store MB':>10}")
    for tool_class in tools:
        medians = "".join(f"{statistics.median(seconds[tool_class.name, step]):10.2f}" for step in STEPS)
        peak, size = peaks[tool_class.name] / 1e6, sizes[tool_class.name] / 1e6
        print(f"{tool_class.name:8}{medians}{peak:10.0f}{size:10.0f}")
    for tool_class in tools if wire else ():
        shares = (f"{step} {statistics.median(moved[tool_class.name, step]) / whole:.3f}" for step in STEPS)
        print(f"{tool_class.name:8}on the wire, of the tree's {whole / 1e6:.0f} MB: {'  '.join(shares)}")
    for peer in tools[1:]:
        ratios = [
            statistics.median(
                ours / theirs for ours, theirs in zip(seconds["ctxmgr", step], seconds[peer.name, step], strict=True)
            )
            for step in STEPS
        ]
        print(f"ctxmgr / {peer.name:8}" + "  ".join(f"{step} {r:.2f}" for step, r in zip(STEPS, ratios, strict=True)))
    shutil.rmtree(folder)


def run(tool: Tool, tree: Path, restored: Path, seed: int) -> list[tuple[str, Measured]]:
    """Take a tool through all steps on a tree that is there."""
    read_all(tree)
    found = [("first", measure(tool.upload(tree), tool.environment))]
    found.append(("none", measure(tool.upload(tree), tool.environment)))
    edit(tree, random.Random(seed))
    found.append(("edit", measure(tool.upload(tree), tool.environment)))
    restored.mkdir()
    found.append(("restore", measure(tool.restore(tree, restored), tool.environment)))
    return found


def as_installed() -> None:
    """Have our package compiled, as it is where pip has installed it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(ctxmgr.__file__).parent, quiet=1)


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    before, begun = loopback(), time.perf_counter()
    null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawnp(command[0], list(command), environment, file_actions=null)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - begun
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed with status {os.waitstatus_to_exitcode(status)}")
    return Measured(seconds, usage.ru_maxrss * 1024, loopback() - before)


def loopback() -> int:
    """Return how many bytes have gone over loopback since the system started."""
    counter = Path("/sys/class/net/lo/statistics/tx_bytes")
    return int(counter.read_text()) if counter.exists() else 0


def read_all(tree: Path) -> None:
    """Warm the page cache."""
    for file in tree.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                while opened.read(1 << 20):
                    pass


def edit(tree: Path, rng: random.Random) -> None:
    """Change 1 % of the files, at least one, each in one place."""
    files = sorted(file for file in tree.rglob("*") if file.is_file() and not file.is_symlink())
    for file in rng.sample(files, max(1, len(files) // 100)):
        file.chmod(0o644)
        with file.open("r+b") as opened:
            opened.seek(rng.randrange(max(1, file.stat().st_size)))
            opened.write(rng.randbytes(16))


def packages(tree: Path, scale: float) -> None:
    """About 20,000 files as they are: copies of this Python's installed packages."""
    source = Path(sysconfig.get_paths()["purelib"])
    wanted, copied = int(20_000 * scale), 0
    copy = 0
    while copied < wanted:
        for file in sorted(source.rglob("*")):
            if file.is_file() and copied < wanted:
                target = tree / f"copy{copy}" / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
                copied += 1
        copy += 1


def small(tree: Path, scale: float) -> None:
    """100,000 files of 1 to 4 KB, 100 in a folder."""
    rng = random.Random(1)
    for number in range(int(100_000 * scale)):
        folder = tree / f"{number // 10_000:02}" / f"{number // 100:04}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:06}.txt").write_bytes(rng.randbytes(rng.randint(500, 2000)).hex().encode())


def big(tree: Path, scale: float) -> None:
    """Two files of 512 MiB."""
    tree.mkdir()
    rng = random.Random(2)
    for name in ("one.bin", "two.bin"):
        with (tree / name).open("wb") as file:
            for _ in range(max(1, int(512 * scale))):
                file.write(rng.randbytes(1 << 20))


TREES: Mapping[str, Callable[[Path, float], None]] = {"packages": packages, "small": small, "big": big}


if __name__ == "__main__":
    main()
