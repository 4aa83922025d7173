"""`python -m twin` generates the twins in place and proves them; `--check` only says whether they are fresh."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .generate import check, prepare, prove
from .project import Refused
from .settings import find_root


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m twin", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the twins are stale")
    parser.add_argument("--root", type=Path, default=find_root(), help="the project's folder (default: this one)")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return _report(check(options.root), "twin: fresh", "twin: stale; refresh with: python -m twin")
        twins = prepare(options.root)
    except Refused as refused:
        return _report([str(refused)], "", f"twin: refused, {len(refused.problems)} problems; nothing was written")
    written = f"twin: {len(twins.write(options.root))} files generated"
    wrong = [str(problem) for problem in prove(twins)]
    return _report(wrong, f"{written} and proven", f"{written}, {len(wrong)} problems: change the source there")


def _report(problems: list[str], success: str, failure: str) -> int:
    lines = [*problems, failure if problems else success, ""]
    (sys.stderr if problems else sys.stdout).write("\n".join(lines))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
