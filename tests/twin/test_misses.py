"""Waits that are easy to miss: in each of these a call could stay without `await` and nobody would see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin import Refused, generate

from .golden import SETTINGS, make, twin_of

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

REFUSED = {
    # A type that is no longer what a test said it was.
    "assigned anew in a branch": (
        "def f(x: Wire | Plain, c: bool) -> None:\n"
        "    assert isinstance(x, Plain)\n    if c:\n        x = wire\n        x.send('a') #!",
        "waits for some types",
    ),
    "assigned anew in a loop's last round": (
        "def f(x: Wire | Plain) -> None:\n"
        "    assert isinstance(x, Plain)\n    for _ in 'ab':\n        x.send('a') #!\n        x = wire",
        "waits for some types",
    ),
    "assigned anew before an exception": (
        "def f(x: Wire | Plain) -> None:\n    assert isinstance(x, Plain)\n    try:\n        x = wire\n"
        "    except ValueError:\n        x.send('a') #!",
        "waits for some types",
    ),
    "assigned anew in an expression": (
        "def f(x: Wire | Plain) -> None:\n    isinstance(x, Plain) and (x := wire) and x.send('a') #!",
        "waits for some types",
    ),
    "changed by an augmented assignment": (
        "def f() -> None:\n    x: object\n    y = Plain()\n    y |= wire\n    y.send('a') #!",
        "can't tell what y is",
    ),
    "a list that grows": (
        "def f() -> None:\n    x = [1]\n    x += [Box()]\n    for y in x: y.go() #!",
        "waits for some types",
    ),
    "a list that is appended to": ("def f() -> None:\n    x = [1]\n    x.append(Box()) #!", "annotate the container"),
    "an unannotated parameter with a default": ("def f(x=Plain()): x.send('a') #!", "can't tell what x is"),
    "a match": (
        "def f(x: object) -> None:\n    match x:\n        case Box() as y: y.go() #!",
        "can't tell what y is",
    ),
    "a descriptor": (
        "class D:\n    def __get__(self, o: object, t: object = None) -> Box: return Box()\n"
        "    def go(self) -> str: return ''\n"
        "class C:\n    d = D()\ndef f(c: C) -> None: c.d.go() #!",
        "can't tell what c.d is",
    ),
    # Methods under other names.
    "a dunder that is another name": (
        "class C:\n    def size(self) -> int: pause(1); return 1\n    __len__ = size #!",
        "gets out of sight",
    ),
    "a manager's methods under other names": (
        "class C:\n    def open(self) -> C: pause(1); return self\n    __enter__ = open #!",
        "gets out of sight",
    ),
    "a function's own __call__": ("def f(b: Box) -> object: return b.go.__call__() #!", "gets out of sight"),
    "a function's own __get__": ("def f(b: Box) -> object: return Box.go.__get__(b)() #!", "gets out of sight"),
    "a descriptor that returns a function": (
        "class D:\n    def __get__(self, o: Box, t: object = None): return o.go #!",
        "gets out of sight",
    ),
    "vars": ("def f(b: Box) -> object: return vars(b)['go']() #!", "gives members by any name"),
    "__dict__": ("def f(b: Box) -> object: return Box.__dict__['go'](b) #!", "gives members by any name"),
    "__getattribute__": ("def f(b: Box) -> object: return b.__getattribute__('go')() #!", "gives members by any name"),
    "object.__getattribute__": (
        "def f(b: Box) -> object: return object.__getattribute__(b, 'go')() #!",
        "gives members by any name",
    ),
    "inspect": ("def f(b: Box) -> object: return dict(inspect.getmembers(b))['go']() #!", "gives members by any name"),
    "getattr of anything": ("def f(b: Any, n: str) -> object: return getattr(b, n)() #!", "name the attribute"),
    "getattr handed on": ("def f(b: Box) -> object: return functools.partial(getattr, b)('go')() #!", "getattr may"),
    "getattr with unpacked arguments": ("def f(b: Box) -> object: return getattr(*(b, 'go'))() #!", "name it"),
    "setattr": ("def f(b: Box) -> None: setattr(b, 'go', print) #!", "setattr(..., 'go') may"),
    # Functions in foreign hands.
    "a cast": ("def f(b: Box) -> object: return cast(Callable[[], str], b.go)() #!", "can't wait for it"),
    "a weak reference": ("def f(b: Box) -> object: return weakref.ref(b.go)()() #!", "can't wait for it"),
    "a changed copy": (
        "@attrs.define\nclass D:\n    run: Callable[[], str]\n"
        "def f(b: Box, d: D) -> object: return attrs.evolve(d, run=b.go).run() #!",
        "can't wait for it",
    ),
    "a converter": (
        "def g(x: str) -> str: pause(1); return x\n@attrs.define\nclass D:\n    x: str = attrs.field(converter=g) #!",
        "can't wait for it",
    ),
    # Instances that wait when they are iterated over, entered or called.
    "unpacking": ("def f(x: Rows) -> None: a, b = x #!", "unpacking what x gives waits"),
    "unpacking in a loop": ("def f(x: list[Rows]) -> None:\n    for a, b in x: ... #!", "unpacking what x gives waits"),
    "a slice": ("def f(x: Rows, y: list[int]) -> None: y[:] = x #!", "unpacking x waits"),
    "adding to a list": ("def f(x: Rows, y: list[int]) -> None: y += x #!", "unpacking x waits"),
    "a star": ("def f(x: Rows) -> None: print(*x) #!", "unpacking x waits"),
    "a list of a new instance": ("def f() -> object: return list(Rows()) #!", "list() can't iterate over Rows()"),
    "a list of one or the other": ("def f(x: Rows) -> object: return list(x or x) #!", "list() can't iterate"),
    "a chained comparison": ("def f(x: Rows) -> object: return 1 < 2 in x #!", "`in x` waits"),
    "an iterable parameter": (
        "def g(x: Iterable[int]) -> list[int]: return [y for y in x]\ndef f(x: Rows) -> None: g(x) #!",
        "is or gives Rows, which waits",
    ),
    "an iterable variable": ("def f(x: Rows) -> None:\n    y: Iterable[int] = x #!", "is or gives Rows"),
    "an iterable attribute": (
        "class C:\n    x: Iterable[int]\ndef f(c: C, x: Rows) -> None: c.x = x #!",
        "is or gives Rows",
    ),
    "an iterable field": (
        "@attrs.define\nclass C:\n    _x: Iterable[int]\ndef f(x: Rows) -> None: C(x=x) #!",
        "is or gives Rows",
    ),
    "a list of iterables": (
        "def g(x: list[Iterable[int]]) -> None: ...\ndef f(x: list[Rows]) -> None: g(x) #!",
        "is or gives Rows",
    ),
    "a cast iterable": ("def f(x: Rows) -> object: return cast(Iterable[int], x) #!", "is or gives Rows"),
    "a factory of iterables": (
        "def g(x: Callable[[], Iterable[int]]) -> None: ...\ndef f() -> None: g(Rows) #!",
        "is or gives Rows",
    ),
    "a manager that is returned": (
        "def f(x: Held) -> AbstractContextManager[Held]: return x #!",
        "is or gives Held, which waits",
    ),
    "an instance as a callable": (
        "def g(x: Callable[[], None]) -> None: x()\ndef f(x: Called) -> None: g(x) #!",
        "is or gives Called, which waits",
    ),
    # What is put in the place of something else.
    "a decorator that waits": (
        "def deco(g: Callable[[], None]):\n    def inner() -> None: pause(1); g()\n    return inner\n"
        "@deco #!\ndef f() -> None: ...",
        "may wait; annotate it",
    ),
    "a decorator that is a class": (
        "class Deco:\n    def __init__(self, g: object) -> None: ...\n    def __call__(self) -> None: pause(1)\n"
        "@Deco #!\ndef f() -> None: ...",
        "may wait; annotate it",
    ),
    "a decorated class": (
        "def deco(c: object): return Box\n@deco #!\nclass C: ...",
        "may wait; annotate it",
    ),
}


@pytest.mark.parametrize(("source", "text"), REFUSED.values(), ids=REFUSED)
def test_a_wait_that_would_be_missed_is_refused(tmp_path: Path, source: str, text: str) -> None:
    module = HEAD + source
    line = next(number for number, each in enumerate(module.splitlines(), 1) if "#!" in each)
    with pytest.raises(Refused) as refused:
        generate(make(tmp_path, module=module), SETTINGS)
    assert ("shop/module.py", line) in [(p.path, p.line) for p in refused.value.problems if text in p.text], (
        refused.value
    )


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
