"""Waits that are easy to miss: in each of these a call could stay without `await` and nobody would see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin import Refused, generate

from .golden import CORRECT, PROVEN, REFUSED, SETTINGS, check_case, make, twin_of

HEAD = """\
from __future__ import annotations
import attrs, contextlib, functools, inspect, weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, cast
from ._io import Wire, pause
wire: Wire
class Plain:
    def send(self, text: str) -> str: return text
class Box:
    def go(self) -> str: return wire.send("a")
class Called:
    def __call__(self) -> None: pause(1)
class Rows:
    def __iter__(self) -> Iterator[int]:
        pause(1)
        yield 1
class Held:
    def __enter__(self) -> Held: pause(1); return self
    def __exit__(self, *e: object) -> None: ...
"""

CASES = {
    # A type that is no longer what a test said it was.
    "assigned anew in a branch": (
        CORRECT,
        "def f(x: Wire | Plain, c: bool) -> None:\n"
        "    assert isinstance(x, Plain)\n    if c:\n        x = wire\n        x.send('a') #!",
        "        await x.send('a')",
    ),
    "assigned anew in a loop's last round": (
        REFUSED,
        "def f(x: Wire | Plain) -> None:\n"
        "    assert isinstance(x, Plain)\n    for _ in 'ab':\n        x.send('a') #!\n        x = wire",
        "waits for some types",
    ),
    "assigned anew before an exception": (
        REFUSED,
        "def f(x: Wire | Plain) -> None:\n    assert isinstance(x, Plain)\n    try:\n        x = wire\n"
        "    except ValueError:\n        x.send('a') #!",
        "waits for some types",
    ),
    "assigned anew in an expression": (
        CORRECT,
        "def f(x: Wire | Plain) -> None:\n    isinstance(x, Plain) and (x := wire) and x.send('a') #!",
        "and await x.send('a')",
    ),
    "changed by an augmented assignment": (
        REFUSED,
        "def f() -> None:\n    x: object\n    y = Plain()\n    y |= wire\n    y.send('a') #!",
        "can't tell what y is",
    ),
    "a list that grows": (
        REFUSED,
        "def f() -> None:\n    x = [1]\n    x += [Box()]\n    for y in x: y.go() #!",
        "can't tell what y is",
    ),
    "a list that is appended to": (
        REFUSED,
        "def f() -> None:\n    x = [1]\n    x.append(Box()) #!",
        'Argument 1 to "append"',
    ),
    "an unannotated parameter with a default": (REFUSED, "def f(x=Plain()): x.send('a') #!", "can't tell what x is"),
    "a match": (
        CORRECT,
        "def f(x: object) -> None:\n    match x:\n        case Box() as y: y.go() #!",
        "case Box() as y: await y.go()",
    ),
    "a descriptor": (
        CORRECT,
        "class D:\n    def __get__(self, o: object, t: object = None) -> Box: return Box()\n"
        "    def go(self) -> str: return ''\n"
        "class C:\n    d = D()\ndef f(c: C) -> None: c.d.go() #!",
        "await c.d.go()",
    ),
    # Methods under other names.
    "a dunder that is another name": (
        REFUSED,
        "class C:\n    def size(self) -> int: pause(1); return 1\n    __len__ = size #!",
        "gets out of sight",
    ),
    "a manager's methods under other names": (
        REFUSED,
        "class C:\n    def open(self) -> C: pause(1); return self\n    __enter__ = open #!",
        "gets out of sight",
    ),
    "a function's own __call__": (REFUSED, "def f(b: Box) -> object: return b.go.__call__() #!", "gets out of sight"),
    "a function's own __get__": (
        REFUSED,
        "def f(b: Box) -> object: return Box.go.__get__(b)() #!",
        "gets out of sight",
    ),
    "a descriptor that returns a function": (
        REFUSED,
        "class D:\n    def __get__(self, o: Box, t: object = None): return o.go #!",
        "gets out of sight",
    ),
    "vars": (REFUSED, "def f(b: Box) -> object: return vars(b)['go']() #!", "gives members by any name"),
    "__dict__": (REFUSED, "def f(b: Box) -> object: return Box.__dict__['go'](b) #!", "gives members by any name"),
    "__getattribute__": (
        REFUSED,
        "def f(b: Box) -> object: return b.__getattribute__('go')() #!",
        "gives members by any name",
    ),
    "object.__getattribute__": (
        REFUSED,
        "def f(b: Box) -> object: return object.__getattribute__(b, 'go')() #!",
        "gives members by any name",
    ),
    "inspect": (
        REFUSED,
        "def f(b: Box) -> object: return dict(inspect.getmembers(b))['go']() #!",
        "gives members by any name",
    ),
    "getattr of anything": (
        REFUSED,
        "def f(b: Any, n: str) -> object: return getattr(b, n)() #!",
        "name the attribute",
    ),
    "getattr handed on": (
        REFUSED,
        "def f(b: Box) -> object: return functools.partial(getattr, b)('go')() #!",
        "getattr may",
    ),
    "getattr with unpacked arguments": (REFUSED, "def f(b: Box) -> object: return getattr(*(b, 'go'))() #!", "name it"),
    "setattr": (REFUSED, "def f(b: Box) -> None: setattr(b, 'go', print) #!", "setattr(..., 'go') may"),
    # Functions in foreign hands.
    "a cast": (REFUSED, "def f(b: Box) -> object: return cast(Callable[[], str], b.go)() #!", "can't wait for it"),
    "a weak reference": (REFUSED, "def f(b: Box) -> object: return weakref.ref(b.go)()() #!", "can't wait for it"),
    "a changed copy": (
        REFUSED,
        "@attrs.define\nclass D:\n    run: Callable[[], str]\n"
        "def f(b: Box, d: D) -> object: return attrs.evolve(d, run=b.go).run() #!",
        "can't wait for it",
    ),
    "a converter": (
        REFUSED,
        "def g(x: str) -> str: pause(1); return x\n@attrs.define\nclass D:\n    x: str = attrs.field(converter=g) #!",
        "can't wait for it",
    ),
    # Instances that wait when they are iterated over, entered or called.
    "unpacking": (PROVEN, "def f(x: Rows) -> None: a, b = x #!", '"Rows" object is not iterable'),
    "unpacking in a loop": (
        PROVEN,
        "def f(x: list[Rows]) -> None:\n    for a, b in x: ... #!",
        '"Rows" object is not iterable',
    ),
    "a slice": (PROVEN, "def f(x: Rows, y: list[int]) -> None: y[:] = x #!", '"__setitem__"'),
    "adding to a list": (PROVEN, "def f(x: Rows, y: list[int]) -> None: y += x #!", '"__iadd__"'),
    "a star": (PROVEN, "def f(x: Rows) -> None: print(*x) #!", "Expected iterable"),
    "a list of a new instance": (
        REFUSED,
        "def f() -> object: return list(Rows()) #!",
        "list() may call Rows().__iter__",
    ),
    "a list of one or the other": (
        REFUSED,
        "def f(x: Rows) -> object: return list(x or x) #!",
        "list() may call x or x.__iter__",
    ),
    "a chained comparison": (
        PROVEN,
        "def f(x: Rows) -> object: return 1 < 2 in x #!",
        "Unsupported right operand type for in",
    ),
    "an iterable parameter": (
        REFUSED,
        "def g(x: Iterable[int]) -> list[int]: return [y for y in x]\ndef f(x: Rows) -> None: g(x) #!",
        "g() may call x.__iter__",
    ),
    "an iterable variable": (
        PROVEN,
        "def f(x: Rows) -> None:\n    y: Iterable[int] = x #!",
        'expression has type "Rows"',
    ),
    "an iterable attribute": (
        PROVEN,
        "class C:\n    x: Iterable[int]\ndef f(c: C, x: Rows) -> None: c.x = x #!",
        'expression has type "Rows"',
    ),
    "an iterable field": (
        REFUSED,
        "@attrs.define\nclass C:\n    _x: Iterable[int]\ndef f(x: Rows) -> None: C(x=x) #!",
        "C() may call x.__iter__",
    ),
    "a list of iterables": (
        REFUSED,
        "def g(x: list[Iterable[int]]) -> None: ...\ndef f(x: list[Rows]) -> None: g(x) #!",
        'Argument 1 to "g"',
    ),
    "a cast iterable": (
        REFUSED,
        "def f(x: Rows) -> object: return cast(Iterable[int], x) #!",
        "cast() may call x.__iter__",
    ),
    "a factory of iterables": (
        PROVEN,
        "def g(x: Callable[[], Iterable[int]]) -> None: ...\ndef f() -> None: g(Rows) #!",
        '"type[Rows]"',
    ),
    "a manager that is returned": (
        PROVEN,
        "def f(x: Held) -> AbstractContextManager[Held]: return x #!",
        'got "Held"',
    ),
    "an instance as a callable": (
        REFUSED,
        "def g(x: Callable[[], None]) -> None: x()\ndef f(x: Called) -> None: g(x) #!",
        "g() may call x.__call__",
    ),
    # What is put in the place of something else.
    "a decorator that waits": (
        REFUSED,
        "def deco(g: Callable[[], None]):\n    def inner() -> None: pause(1); g()\n    return inner\n"
        "@deco #!\ndef f() -> None: ...",
        "may wait; annotate it",
    ),
    "a decorator that is a class": (
        REFUSED,
        "class Deco:\n    def __init__(self, g: object) -> None: ...\n    def __call__(self) -> None: pause(1)\n"
        "@Deco #!\ndef f() -> None: ...",
        "may wait; annotate it",
    ),
    "a decorated class": (
        REFUSED,
        "def deco(c: object): return Box\n@deco #!\nclass C: ...",
        "may wait; annotate it",
    ),
}


@pytest.mark.parametrize(("outcome", "source", "text"), CASES.values(), ids=CASES)
def test_a_wait_that_would_be_missed(tmp_path: Path, outcome: str, source: str, text: str) -> None:
    check_case(tmp_path, HEAD + source, outcome, text)


SHARED = {
    "iterates": ("def use(x): return list(x)", "from .plain import use\ndef f(x: Rows) -> None: use(x)"),
    "keeps": (
        "class Keeper:\n    def __init__(self, x): self.x = x\n    def run(self): self.x.go()",
        "from .plain import Keeper\ndef f(b: Box) -> None: Keeper(b).run()",
    ),
    "calls what a subclass defines": (
        "class Base:\n    def run(self) -> None: getattr(self, 'hook')()",
        "from .plain import Base\nclass C(Base):\n    def hook(self) -> None: pause(1)",
    ),
}


@pytest.mark.parametrize(("plain", "source"), SHARED.values(), ids=SHARED)
def test_a_module_without_a_twin_gets_nothing_that_waits(tmp_path: Path, plain: str, source: str) -> None:
    with pytest.raises(Refused, match=r"shop/plain\.py, which has no twin"):
        generate(make(tmp_path, module=HEAD + source, plain=plain), SETTINGS)


AWAITED = {
    "a walrus": ("while x := wire.send('a'): print(x)", "while x := await wire.send('a'): print(x)"),
    "a chained comparison": ("'a' < wire.send('b') != b.go()", "'a' < await wire.send('b') != await b.go()"),
    "a chained assignment": ("x = y = b; x.go(); y.go()", "x = y = b; await x.go(); await y.go()"),
    "an unpacked tuple": ("x, (y, _) = b, (b, 1); x.go(); y.go()", "; await x.go(); await y.go()"),
    "a deletion": ("d: dict[str, int] = {}; del d[b.go()]", "del d[await b.go()]"),
    "an augmented assignment": ("x = ''; x += b.go()", "x += await b.go()"),
    "what is raised": (
        "raise ValueError(b.go()) from OSError(b.go())",
        "raise ValueError(await b.go()) from OSError(await",
    ),
    "an assertion": ("assert b.go(), b.go()", "assert await b.go(), await b.go()"),
    "a manager that is chosen": ("with h or h: pass", "async with h or h: pass"),
    "a manager that is named": ("with (x := h): pass", "async with (x := h): pass"),
    "an iterator by hand": ("x = iter(r); next(x)", "x = aiter(r); await anext(x)"),
    "a class that is chosen": ("(Box if b else Box)().go()", "await (Box if b else Box)().go()"),
    "a dict of objects": ("{1: b}[1].go()", "await {1: b}[1].go()"),
}


@pytest.mark.parametrize(("source", "expected"), AWAITED.values(), ids=AWAITED)
def test_a_wait_in_an_unusual_place_is_awaited(tmp_path: Path, source: str, expected: str) -> None:
    module = HEAD + f"def f(b: Box, h: Held, r: Rows) -> None:\n    {source}\n"
    assert expected in twin_of(tmp_path, module=module)


def test_waits_follow_inheritance_and_super_across_modules(tmp_path: Path) -> None:
    base = "from ._io import pause\nclass Root:\n    def tick(self) -> None: pause(1)\nclass Base(Root): ...\n"
    module = (
        HEAD
        + "from .base import Base\nclass C(Base):\n    def tick(self) -> None: super().tick()\n"
        + "def f(c: C) -> None: c.tick(); Base.tick(c)\n"
    )
    twin = twin_of(tmp_path, module=module, base=base)
    assert "async def tick(self) -> None: await super().tick()" in twin
    assert "async def f(c: C) -> None: await c.tick(); await Base.tick(c)" in twin


def test_a_marker_under_a_name_leaves_a_test_what_it_is(tmp_path: Path) -> None:
    marked = "import pytest\nBOTH = pytest.mark.parametrize('x', [1, 2])\n@BOTH\ndef f(x: int) -> None: pause(x)\n"
    assert "@BOTH\nasync def f(x: int) -> None: await pause(x)" in twin_of(tmp_path, module=HEAD + marked)
