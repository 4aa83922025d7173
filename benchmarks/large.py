"""What a file costs where there are very many, and how fast a large catalog answers.

    python benchmarks/large.py trees [--files 100000,300000,1000000]
    python benchmarks/large.py catalog [--contexts 1000,10000] [--files 100] [--catalog postgresql+psycopg://...]

``trees`` takes directories of nearly empty files through the steps of benchmarks/engine.py, a check and a prune, as
whole commands: prints CPU and wall microseconds a file, peak memory, and what the store takes of a file. The goal is
that a file of the largest costs at most 1.5 times one of the smallest.

``catalog`` commits contexts of so many files each, and prints what a request takes in this process, as median and 99th
percentile: of GetContextInfo, pages of contexts and of files, and a commit; then seconds and peak memory of a check
and of a prune.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from blake3 import blake3
from engine import Tool, measure

from ctxmgr.engine.content.packs import seal
from ctxmgr.engine.manifest.entries import DIRECTORY, FILE, Entry
from ctxmgr.service.catalog import revisions
from ctxmgr.service.contextservice import ContextService
from ctxmgr.service.tasks.contentstore import CatalogContentStore
from ctxmgr.service.tasks.runtime import Runtime

CONTEXTS_A_PACK = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    trees = parts.add_parser("trees")
    trees.add_argument("--files", type=numbers, default=[100_000, 300_000, 1_000_000])
    catalog = parts.add_parser("catalog")
    catalog.add_argument("--contexts", type=numbers, default=[1_000, 10_000])
    catalog.add_argument("--files", type=int, default=100, help="of each context")
    catalog.add_argument("--calls", type=int, default=300)
    catalog.add_argument("--catalog", default="", help="the URL of an empty PostgreSQL database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ctxmgr-benchmark-") as folder:
        if options.part == "trees":
            for count in options.files:
                measure_tree(count, Path(folder) / str(count))
        else:
            measure_catalog(options, Path(folder))


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def measure_tree(count: int, folder: Path) -> None:
    """Take one tree through all steps, and remove it."""
    tree, kept, restored = folder / "tree", folder / "kept", folder / "restored"
    plant(tree, count)
    for made in (kept, restored):
        made.mkdir()
    tool = Tool(kept)

    def ctxmgr(*arguments: str) -> Sequence[str]:
        return [sys.executable, "-m", "ctxmgr", *arguments]

    print(f"\n{count} files: microseconds a file, and peak memory")
    report("first", count, tool.upload(tree), tool)
    size = sum(file.lstat().st_size for file in kept.rglob("*"))
    print(f"  bytes a file: {size / count:.0f} in the store, {catalog_size(kept) / count:.0f} of them in the catalog")
    report("no change", count, tool.upload(tree), tool)
    edit(tree, count)
    report("1 % edit", count, tool.upload(tree), tool)
    report("restore", count, tool.restore(tree, restored), tool)
    report("check", count, ctxmgr("check"), tool)
    report("prune", count, ctxmgr("prune", "--keep-last", "1"), tool)
    with closing(ContextService.open(kept)) as service:
        context = service.handle("GetContext", {"Name": "kept"})["Data"]["Id"]
        page = {"ContextId": context, "ParentFolderPath": str(tree / "00" / "0000")}
        print(f"  a page of a folder: {latency(lambda: answered(service, 'DescribeContextFiles', page), 100)}")
    shutil.rmtree(folder)


def report(step: str, count: int, command: Sequence[str], tool: Tool) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = measure(command, tool.environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"  {step:10} CPU {cpu / count * 1e6:7.1f}  wall {took.seconds / count * 1e6:7.1f}  {took.peak / 1e6:6.0f} MB",
        flush=True,
    )


def plant(tree: Path, count: int) -> None:
    """Make files of a few bytes, no two the same, 100 in a folder."""
    for number in range(count):
        folder = tree / f"{number // 10_000:02}" / f"{number // 100:04}"
        if number % 100 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07}").write_bytes(b"%d" % number)


def edit(tree: Path, count: int) -> None:
    """Change 1 % of the files, without a list of all: a command's peak counts what its parent holds when it starts."""
    for number in range(0, count, 100):
        with (tree / f"{number // 10_000:02}" / f"{number // 100:04}" / f"{number:07}").open("ab") as file:
            file.write(b"edited")


def catalog_size(kept: Path) -> int:
    return sum(file.stat().st_size for file in kept.glob("catalog.db*"))


def measure_catalog(options: argparse.Namespace, folder: Path) -> None:
    """Fill a catalog in steps, and measure it after each."""
    (folder / "work").mkdir()
    (folder / "work" / "file").write_text("content")
    there = 0
    service = ContextService.open(folder / "data", catalog=options.catalog)
    try:
        session = synced(service, folder / "work")
        for wanted in options.contexts:
            begun = time.perf_counter()
            contexts = fill(service._runtime, service, range(there, wanted), options.files)
            commits = (time.perf_counter() - begun) / len(contexts) * 1000
            there = wanted
            rows = there * options.files
            print(f"\n{there} contexts, {rows} files; a commit of {options.files} took {commits:.2f} ms")
            measure_requests(service, session, contexts, options.calls)
            for what, care in (("check", check), ("prune", prune)):
                begun = time.perf_counter()
                care(service._runtime)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                seconds = time.perf_counter() - begun
                each = seconds / rows * 1e6
                print(f"  {what}: {seconds:.2f} s, {each:.1f} µs a file; peak {peak:.0f} MB", flush=True)
            if not options.catalog:
                print(f"  the catalog takes {catalog_size(folder / 'data') / rows:.0f} bytes a file")
    finally:
        service.close()


def measure_requests(service: ContextService, session: str, contexts: Sequence[str], calls: int) -> None:
    rng = random.Random(1)
    doomed = iter(rng.sample(contexts, calls))

    def delete() -> None:
        answered(service, "DeleteContextFile", {"ContextId": next(doomed), "FilePath": "/tree/000"})

    def page() -> None:
        answered(service, "DescribeContextFiles", {"ContextId": rng.choice(contexts), "ParentFolderPath": "/tree"})

    asked: list[tuple[str, Callable[[], object]]] = [
        ("info", lambda: answered(service, "GetContextInfo", {"SessionId": session})),
        ("list contexts", lambda: answered(service, "ListContexts", {"MaxResults": "50"})),
        ("list files", page),
        ("commit", delete),
    ]
    for name, call in asked:
        print(f"  {name:14}{latency(call, calls)}", flush=True)


def latency(call: Callable[[], object], calls: int) -> str:
    taken = []
    for _ in range(calls):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1000)
    taken.sort()
    return f"median {statistics.median(taken):.2f} ms, 99 % {taken[int(len(taken) * 0.99)]:.2f} ms"


def answered(service: ContextService, action: str, parameters: dict[str, str]) -> dict[str, object]:
    answer = service.handle(action, parameters)
    assert answer["Success"], answer
    return answer


def synced(service: ContextService, root: Path) -> str:
    """Return the id of a session whose directory was synced."""
    context = service.handle("GetContext", {"Name": "synced", "AllowCreate": "true"})["Data"]["Id"]
    binding = {"ContextId": context, "Path": str(root)}
    made = service.handle("CreateMcpSession", {"Root": "/", "PersistenceDataList": json.dumps([binding])})
    session = str(made["Data"]["SessionId"])
    answered(service, "SyncContext", {"SessionId": session})
    return session


def fill(runtime: Runtime, service: ContextService, which: range, files: int) -> list[str]:
    """Make contexts with one revision each, through what syncs store and commit with."""
    content = CatalogContentStore(runtime.catalog, runtime._packs, "local")
    made = []
    for start in range(which.start, which.stop, CONTEXTS_A_PACK):
        names = range(start, min(start + CONTEXTS_A_PACK, which.stop))
        texts = {(name, number): b"%d %d" % (name, number) for name in names for number in range(files)}
        digests = {key: blake3(text).digest() for key, text in texts.items()}
        rows, at = [], 0
        for key, text in texts.items():
            rows.append((digests[key], at, len(text), len(text)))
            at += len(text)
        content.put(seal(list(texts.values()), rows))
        for name in names:
            context = str(service.handle("GetContext", {"Name": f"{name:06}", "AllowCreate": "true"})["Data"]["Id"])
            put = {b"": Entry(DIRECTORY, 0o755)}
            for number in range(files):
                digest, size = digests[name, number], len(texts[name, number])
                put[b"%03d" % number] = Entry(FILE, 0o644, time.time_ns(), size, digest, (digest,))
            with runtime.catalog.write() as connection:
                revisions.commit(
                    connection, context, "/tree", head=0, current=(), put=put, drop=(), task_id="", note="made"
                )
            made.append(context)
    return made


def check(runtime: Runtime) -> None:
    report = runtime.care.check(read_data=False, mend=False)
    assert not report.damages_total, report.damages[:3]


def prune(runtime: Runtime) -> None:
    runtime.care.free()


if __name__ == "__main__":
    main()
