"""`python -m twin` generates the twins in place; `--check` tells whether they are fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .generate import check, generate
from .problems import Refused
from .settings import PROJECT, find_root

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m twin", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the twins are stale")
    parser.add_argument("--root", type=Path, default=find_root(), help="the project's folder (default: this one)")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return _report(check(options.root))
        written = generate(options.root)
    except Refused as refused:
        _complain(f"{refused}\ntwin: refused, {len(refused.problems)} problems; nothing was written")
        return 1
    sys.stdout.write(f"twin: {len(written)} files generated\n")
    return 0


def _report(differences: list[str]) -> int:
    if not differences:
        sys.stdout.write("twin: fresh\n")
        return 0
    _complain("\n".join([*differences, f"twin: stale; refresh with: {PROJECT.refresh}"]))
    return 1


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
