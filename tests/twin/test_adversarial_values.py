"""Values that wait and are handed on, handed back or hidden, and some that only look so: what becomes of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from .adversary import HEAD
from .golden import CORRECT, PROVEN, REFUSED, check_case

CASES = {
    "a call in code for another version": (
        REFUSED,
        "import sys\ndef f() -> None:\n    if sys.version_info >= (3, 12): pause(1) #!",
        "can't tell what pause is, and pause waits somewhere:",
    ),
    "a call in code that is never reached": (
        CORRECT,
        "def f(x: int) -> None:\n    if not isinstance(x, int): wire.send('a')",
        "if not isinstance(x, int): await wire.send('a')",
    ),
    "an overloaded function under another name": (
        CORRECT,
        "from typing import overload\n@overload\ndef g(x: int) -> int: ...\n@overload\n"
        "def g(x: str) -> str: ...\ndef g(x: int | str) -> int | str: pause(1); return x\ndef f() -> int:\n"
        "    h = g\n    return h(1)",
        "return await h(1)",
    ),
    "a callable under another name": (
        REFUSED,
        "from ._io import Waitable\ndef f(step: Callable[[], Waitable[None]]) -> None:\n    s = step #!\n    s()",
        "step waits when it is called; here it gets out of sight:",
    ),
    "an annotated iterator": (
        CORRECT,
        "def g() -> Iterator[int]:\n    pause(1)\n    yield 1\ndef f() -> None:\n"
        "    x: Iterator[int] = g()\n    for y in x: print(y)",
        "x: AsyncIterator[int] = g()",
    ),
    "an iterator that waits or not": (
        PROVEN,
        "def g() -> Iterator[int]:\n    pause(1)\n    yield 1\ndef f(c: bool) -> None:\n"
        "    x = g() if c else iter([1])\n    for y in x: print(y) #!",
        'Item "Iterator[int]" of "AsyncIterator[int] |',
    ),
    "a function that is chosen": (
        REFUSED,
        "def f(b: Box, c: bool) -> str: return (b.go if c else str)() #!",
        "b.go waits when it is called; here it gets out of sight:",
    ),
    "a manager as a decorator": (
        REFUSED,
        "@contextlib.contextmanager\ndef h() -> Iterator[None]:\n    pause(1)\n    yield\n@h() #!\n"
        "def f() -> None: ...",
        "h() waits when it is gone through; here it gets out of",
    ),
    "an attribute made on demand": (
        REFUSED,
        "class D:\n    def __getattr__(self, name: str) -> Any: return Box.go\ndef f(d: D) -> None: d.go() #!",
        "can't tell what d is, and go waits somewhere: annotate d",
    ),
    "what random.choice hands back": (
        CORRECT,
        "def f(x: list[Box]) -> str: return random.choice(x).go()",
        "async def f(x: list[Box]) -> str: return await random.choice(x).go()",
    ),
    "what copy.copy hands back": (
        CORRECT,
        "def f(x: Box) -> str: return copy.copy(x).go()",
        "async def f(x: Box) -> str: return await copy.copy(x).go()",
    ),
    "what attrs.asdict hands back": (
        REFUSED,
        "@attrs.define\nclass D:\n    box: Box\n"
        "def f(d: D) -> object: return attrs.asdict(d, recurse=False)['box'].go() #!",
        "can't tell what attrs.asdict(d, recurse=False)['box'] is,",
    ),
    "what attrs.astuple hands back": (
        REFUSED,
        "@attrs.define\nclass D:\n    box: Box\n"
        "def f(d: D) -> object: return attrs.astuple(d, recurse=False)[0].go() #!",
        "can't tell what attrs.astuple(d, recurse=False)[0] is, and",
    ),
    "what a MappingProxyType hands back": (
        CORRECT,
        "def f(x: dict[str, Box]) -> str: return types.MappingProxyType(x)['a'].go()",
        "async def f(x: dict[str, Box]) -> str: return await types.MappingProxyType(x)['a'].go()",
    ),
    "what the values of a MappingProxyType are": (
        CORRECT,
        "def f(x: dict[str, Box]) -> None:\n    for b in types.MappingProxyType(x).values(): b.go()",
        "for b in types.MappingProxyType(x).values(): await b.go()",
    ),
    "a MappingProxyType of a class": (
        REFUSED,
        "def f() -> object: return types.MappingProxyType(Box.__dict__)['go'](Box()) #!",
        "__dict__ gives members by any name and hides what it gives:",
    ),
    "an exception's arguments": (
        REFUSED,
        "def f(b: Box) -> None:\n    try: raise ValueError(b)\n    except ValueError as error: error.args[0].go() #!",
        "can't tell what error.args[0] is, and go waits somewhere:",
    ),
    "an exception's argument under a name": (
        REFUSED,
        "def f(b: Box) -> None:\n    try: raise ValueError(b)\n    except ValueError as error:\n"
        "        x = error.args[0]\n        x.go() #!",
        "can't tell what x is, and go waits somewhere: annotate x",
    ),
    "an exception's argument that is called": (
        REFUSED,
        "def f(b: Called) -> None:\n    try: raise ValueError(b)\n    except ValueError as error: error.args[0]() #!",
        "can't tell whether error.args[0]() waits: annotate what it",
    ),
    "a list of iterables": (
        PROVEN,
        "def f() -> None:\n    x: list[Iterable[int]] = [Rows()] #!\n    for y in x:\n        for z in y: print(z)",
        'List item 0 has incompatible type "Rows"; expected',
    ),
    "an iterable found by isinstance": (
        REFUSED,
        "def f() -> None:\n    x: list[object] = [Rows()]\n    for y in x:\n"
        "        if isinstance(y, Iterable): #!\n            for z in y: print(z)",
        "`isinstance(y, Iterable)` says something else of the twin's",
    ),
    "an iterable that is appended": (
        REFUSED,
        "def f(x: list[Iterable[int]]) -> None: x.append(Rows()) #!",
        "x.append() may call Rows().__iter__, which can't wait there",
    ),
    "an iterable in a dict": (
        PROVEN,
        "def f(x: dict[str, Iterable[int]]) -> None: x['a'] = Rows() #!",
        "Incompatible types in assignment (expression has type",
    ),
    "an iterable in a tuple": (
        PROVEN,
        "def f() -> tuple[Iterable[int], int]: return (Rows(), 1) #!",
        'Incompatible return value type (got "tuple[Rows, int]",',
    ),
    "an iterable for setdefault": (
        REFUSED,
        "def f(x: dict[str, Iterable[int]]) -> None: x.setdefault('a', Rows()) #!",
        "x.setdefault() may call Rows().__iter__, which can't wait",
    ),
    "a manager on an exit stack": (
        REFUSED,
        "def f() -> None:\n    with contextlib.ExitStack() as s: s.enter_context(Held()) #!",
        "s.enter_context() may call Held().__enter__, which can't",
    ),
    "a list of managers": (
        PROVEN,
        "def f() -> None:\n    x: list[AbstractContextManager[Held]] = [Held()] #!\n    for h in x:\n"
        "        with h: pass",
        'List item 0 has incompatible type "Held"; expected',
    ),
    "an iterable in a chain": (
        REFUSED,
        "def f() -> object: return list(itertools.chain(Rows(), [1])) #!",
        "itertools.chain() may call Rows().__iter__, which can't",
    ),
    "an iterable as the default of a field": (
        REFUSED,
        "@attrs.define\nclass C:\n    x: Iterable[int] = attrs.field(factory=Rows) #!",
        "attrs.field() may call Rows.__iter__",
    ),
    "a method that a pattern captures": (
        CORRECT,
        "def f(x: object) -> None:\n    match x:\n        case Box(go=g): g()",
        "case Box(go=g): await g()",
    ),
    "a name that may be another type in the end": (
        PROVEN,
        "def f(x: Wire | Plain) -> None:\n    assert isinstance(x, Plain)\n    try:\n        x = wire\n"
        "    finally:\n        x.send('a') #!",
        'Incompatible types in "await"',
    ),
    "a star of an iterable": (PROVEN, "def f() -> None: print(*Rows()) #!", "Expected iterable as variadic argument"),
    "a star in a list": (PROVEN, "def f() -> object: return [*Rows()] #!", "Expected iterable as variadic argument"),
    "a star of functions": (
        REFUSED,
        "def g(*calls: Callable[[], str]) -> None:\n    for c in calls: c()\ndef f(b: Box) -> None: g(*[b.go]) #!",
        "b.go waits when it is called; here it gets out of sight:",
    ),
    "star arguments that are iterables": (
        PROVEN,
        "def g(*xs: Iterable[int]) -> None:\n    for x in xs:\n        for y in x: print(y)\n"
        "def f(r: list[Rows]) -> None: g(*r) #!",
        'Argument 1 to "g" has incompatible type "*list[Rows]";',
    ),
    "keyword arguments that are iterables": (
        PROVEN,
        "def g(**xs: Iterable[int]) -> None: ...\ndef f(r: dict[str, Rows]) -> None: g(**r) #!",
        'Argument 1 to "g" has incompatible type "**dict[str,',
    ),
    "star arguments that are functions": (
        REFUSED,
        "from ._io import Waitable\ndef g(*calls: Callable[[], Waitable[str]]) -> None:\n"
        "    for c in calls: c() #!\ndef f(b: Box) -> None: g(b.go, b.go)",
        "calls waits when it is called; here it gets out of sight:",
    ),
    "a function for map": (
        REFUSED,
        "def f(x: list[Box]) -> object: return list(map(Box.go, x)) #!",
        "Box.go waits when it is called, and map can't wait for it",
    ),
    "a lambda for map": (
        REFUSED,
        "def f(x: list[Box]) -> object: return list(map(lambda b: b.go(), x)) #!",
        "`b.go()` waits, which can't be in a lambda; move it into a",
    ),
    "an instance for map": (
        REFUSED,
        "def f(c: Called) -> object: return list(map(c, [])) #!",
        "c waits when it is called, and map can't wait for it",
    ),
    "a method by name for map": (
        REFUSED,
        "def f(x: list[Box]) -> object: return list(map(operator.methodcaller('go'), x)) #!",
        "methodcaller gives members by any name and hides what it",
    ),
    "an iterable for map": (
        REFUSED,
        "def f(r: Rows) -> object: return list(map(str, r)) #!",
        "map() may call r.__iter__, which can't wait there",
    ),
    "an enum's method": (
        CORRECT,
        "class E(enum.Enum):\n    A = 1\n    def go2(self) -> int: pause(1); return 1\n"
        "def f(e: E) -> None:\n    E.A.go2(); e.go2(); E(1).go2(); E['A'].go2()\n    for x in E: x.go2()\n"
        "    [x.go2() for x in list(E)]",
        "await E.A.go2(); await e.go2(); await E(1).go2(); await E['A'].go2()",
    ),
    "a function as a member of an enum": (
        REFUSED,
        "class E(enum.Enum):\n    A = pause #!",
        "pause waits when it is called; here it gets out of sight:",
    ),
    "the value of a member of an enum": (
        CORRECT,
        "class E(enum.Enum):\n    A = Box()\ndef f(e: E) -> None: e.value.go()",
        "async def f(e: E) -> None: await e.value.go()",
    ),
    "the value of a member of an enum of several types": (
        REFUSED,
        "class E(enum.Enum):\n    A = Box()\n    B = 1\ndef f(e: E) -> None: e.value.go() #!",
        "can't tell what e.value is, and go waits somewhere:",
    ),
}


@pytest.mark.parametrize(("outcome", "source", "text"), CASES.values(), ids=CASES)
def test_what_becomes_of(tmp_path: Path, outcome: str, source: str, text: str) -> None:
    check_case(tmp_path, HEAD + source, outcome, text)
