"""A program that changes files of a directory at random, syncs them, and prints what was there and what it was told."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from ctxmgr import Client

NAMES = [f"file-{number}" for number in range(6)]


def held(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


def main(data: str, root: str, name: str, steps: str) -> None:
    directory = Path(root)
    directory.mkdir()
    chance = random.Random(name)
    with Client.local(data) as client:
        context = client.contexts.get("shared").context
        session = client.sessions.create(directory, {"/": context}).raise_for_error().session
        print("ready", flush=True)
        sys.stdin.readline()
        for step in range(int(steps)):
            for changed in chance.sample(NAMES, chance.randint(1, 3)):
                if chance.random() < 0.2:
                    (directory / changed).unlink(missing_ok=True)
                else:
                    (directory / changed).write_text(f"{name}, step {step}, {changed}")
            mode = "download" if chance.random() < 0.3 else "upload"
            before = held(directory)
            result = session.context.sync(mode=mode, allow_mass_delete=True).raise_for_error()  # type: ignore[arg-type]
            told = {
                "writer": name,
                "mode": mode,
                "before": before,
                "after": held(directory),
                "revision": result.revision,
                "tasks": result.task_ids,
                "conflicts": sorted(conflict.path for conflict in result.conflicts),
            }
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
