"""What patterns exclude is what git ignores, for thousands of patterns and paths that are made up from a seed."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from ctxmgr.engine.policy.ignore import Ignores

CASES = 1500
NAMES = [
    b"a", b"b", b"ab", b"B", b"1", b"-", b"]", b"^", b"?", b"**", b"a*", b"a.b", b"a b", b"a ", b"a\t", b"a-b", b"a\\b",
    b"[a]", b"!a", b"#a", b"\xff", b"\xc3\xa9", b"\x01", b"\x7f",
]  # fmt: skip
PIECES = [
    b"a", b"b", b"ab", b"B", b"1", b".", b"-", b"^", b"!", b"#", b"$", b"(", b"{a,b}", b"\xff", b"\xc3\xa9", b" ",
    b"\t", b"*", b"*", b"**", b"***", b"?", b"\\", b"\\*", b"\\a", b"\\[", b"\\\\", b"\\ ", b"\\/", b"\\\t", b"]",
    b"[ab]", b"[!a]", b"[^a]", b"[a-c]", b"[b-a]", b"[a-]", b"[-a]", b"[!-]", b"[--0]", b"[]a]", b"[!]]", b"[\\]]",
    b"[\\a-\\c]", b"[*]", b"[.]", b"[/]", b"[a/b]", b"[!/]", b"[[a]", b"[[a-b]]", b"[a&&b]", b"[\xc0-\xff]", b"[",
    b"[a",
    b"[a\\", b"[[:nope:]]", b"[[:alpha:]", b"[[:]", b"[[::]]", b"[[:upper:][:digit:]]",
    *(b"[[:%s:]]" % name for name in (b"alnum", b"alpha", b"blank", b"cntrl", b"digit", b"graph", b"lower", b"print")),
    *(b"[![:%s:]]" % name for name in (b"punct", b"space", b"upper", b"xdigit")),
]  # fmt: skip
ENDS = [b" ", b"  ", b"\\ ", b"\t", b" \t", b"\t ", b"\\", b"\\\\ ", b"\r", b"\x0b", b"\0a"]
APART = re.compile(rb"!?/?[^*?\[\\]*[^*?\[\\/]\*\*+(?:/|$)")
"""Letters and ``**`` in one part: see the last test."""


def made_tree(draw: random.Random, top: bytes) -> dict[bytes, bool]:
    """Make a few files below a folder; return its paths, and whether each is a folder's."""
    found: dict[bytes, bool] = {}
    for _ in range(8):
        parts = draw.choices(NAMES, k=draw.choice((1, 1, 2, 2, 3)))
        folders = [b"/".join(parts[:count]) for count in range(1, len(parts))]
        path = b"/".join(parts)
        if path not in found and all(found.get(each, True) for each in folders):
            os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
            open(os.path.join(top, path), "wb").close()
            found |= {**dict.fromkeys(folders, True), path: False}
    return found


def made_pattern(draw: random.Random) -> bytes:
    def part() -> bytes:
        return (
            draw.choice(NAMES) if draw.random() < 0.4 else b"".join(draw.choices(PIECES, k=draw.choice((1, 1, 2, 3))))
        )

    pattern = b"/".join(part() for _ in range(draw.choice((1, 1, 1, 2, 2, 3))))
    for chance, before, behind in ((0.2, b"/", b""), (0.25, b"", b"/"), (0.15, b"", b"/**"), (0.15, b"**/", b"")):
        if draw.random() < chance:
            pattern = before + pattern + behind
    if draw.random() < 0.2:
        pattern = b"!" + pattern
    return pattern + (draw.choice(ENDS) if draw.random() < 0.1 else b"")


def ignored(repository: Path, paths: Iterable[bytes]) -> set[bytes]:
    """Ask git which paths it ignores."""
    command = ["git", "-c", "core.excludesFile=/dev/null", "-C", str(repository)]
    told = subprocess.run(
        [*command, "check-ignore", "--no-index", "-z", "--stdin"],
        input=b"\0".join(paths),
        capture_output=True,
        check=False,
    )
    assert told.returncode in (0, 1), told.stderr
    return {path for path in told.stdout.split(b"\0") if path}


@pytest.mark.parametrize("seed", range(3))
def test_of_made_up_patterns(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    top = os.fsencode(tmp_path)
    subprocess.run(["git", "init", "-q", top], check=True)
    cases: dict[bytes, tuple[bytes, dict[bytes, bool]]] = {}
    for number in range(CASES):
        case = b"%d" % number
        os.mkdir(os.path.join(top, case))
        paths = made_tree(draw, os.path.join(top, case))
        patterns = [made_pattern(draw) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
        text = b"\n".join(each for each in patterns if not APART.match(each)) + b"\n"
        Path(os.fsdecode(os.path.join(top, case, b".gitignore"))).write_bytes(text)
        cases[case] = text, paths
    told = ignored(tmp_path, [case + b"/" + path for case, (_, paths) in cases.items() for path in paths])
    assert len(told) > CASES / 3
    differ = []
    for case, (text, paths) in cases.items():
        ignores = Ignores()
        ignores.add(b"", text)
        for path, folder in paths.items():
            ours = ignores.rule(path, folder) is not None
            if ours != (case + b"/" + path in told):
                differ.append((text, path, ours))
    assert differ == []


@pytest.mark.parametrize(
    "text", [b"[[:digit:]]\n", b"[b-a]\n", b"[[:nope:]]\nx\n", b"[[[:alpha:]b\n", b"[\\a-\\c]\n", b"a[\n[\n"]
)
def test_no_bracket_ends_a_sync(text: bytes) -> None:
    ignores = Ignores()
    ignores.add(b"", text + b"kept\n")
    assert ignores.rule(b"kept", False) is not None
    assert ignores.rule(b"other", False) is None


def test_two_stars_beside_letters_are_as_gits_manual_has_them_and_not_as_git_does_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "ab" / "c").mkdir(parents=True)
    (tmp_path / "ab" / "c" / "d").touch()
    (tmp_path / ".gitignore").write_bytes(b"a**/d\n")
    ignores = Ignores()
    ignores.add(b"", b"a**/d\n")
    assert ignored(tmp_path, [b"ab/c/d"]) == {b"ab/c/d"}
    assert ignores.rule(b"ab/c/d", False) is None
