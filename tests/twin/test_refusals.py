"""What can't be proven or twinned is refused, with its line and what to do, or found by the second proof."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from twin import Refused, generate, prepare, prove

from .golden import CORRECT, PROVEN, REFUSED, SETTINGS, check_case, make, split_primitives, twin_of

MANAGER = """\
class C:
    def __enter__(self) -> C: pause(1); return self
    def __exit__(self, *e: object) -> None: ...
"""
HEAD = """\
from __future__ import annotations
import functools, subprocess, threading, time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol
from ._io import Jobs, Waitable, Wire, now, pause, ticks
wire: Wire
class Plain:
    def send(self, text: str) -> str: return text
"""

CASES = {
    "an unknown receiver": (REFUSED, "def f(x): x.send('a') #!", "can't tell what x is"),
    "a receiver that is Any": (REFUSED, "def f(x: Any) -> None: x.send('a') #!", "annotate x"),
    "an unknown receiver's method as a value": (
        REFUSED,
        "def f(x: Any) -> object: return x.send #!",
        "can't tell what x is",
    ),
    "one of several types": (REFUSED, "def f(x: Wire | Plain) -> None: x.send('a') #!", "waits for some types"),
    "an undeclared attribute": (REFUSED, "def f(x: Plain) -> None: x.close() #!", 'has no attribute "close"'),
    "a type variable": (REFUSED, "def f(x: list) -> None: x[0].send('a') #!", "can't tell what x[0] is"),
    "what foreign code gives back": (
        REFUSED,
        "def f(x: Wire) -> None: functools.reduce(max, [x]).close() #!",
        'Argument 1 to "reduce"',
    ),
    "a thread's target": (
        REFUSED,
        "def f() -> None: threading.Thread(target=wire.send) #!",
        "wire.send waits when it is called, and threading.Thread can't wait for it",
    ),
    "a partial": (
        REFUSED,
        "def f() -> object: return functools.partial(wire.send, 'a') #!",
        "functools.partial can't wait",
    ),
    "a sort key": (
        REFUSED,
        "def f(x: list[str]) -> object: return sorted(x, key=wire.send) #!",
        "sorted can't wait for it",
    ),
    "a function in a container": (REFUSED, "def f() -> None: x = {'send': wire.send} #!", "gets out of sight"),
    "a function in a foreign list": (
        REFUSED,
        "def f(x: list[Any]) -> None: x.append(pause) #!",
        "x.append can't wait for it",
    ),
    "a function for a plain parameter": (
        REFUSED,
        "def g(call: Callable[[float], None]) -> None: ...\ndef f() -> None: g(pause) #!",
        "annotate the parameter of g that takes it as Callable[..., Waitable[...]]",
    ),
    "a function in a plain variable": (
        REFUSED,
        "def f() -> None:\n    x: Callable[[float], None] = pause #!\n    x(1)",
        "gets out of sight",
    ),
    "a function that is returned": (
        REFUSED,
        "def f() -> Callable[[float], None]: return pause #!",
        "pause waits when it is called; here it gets out of sight",
    ),
    "a plain function where one that waits is expected": (
        PROVEN,
        "def g(call: Callable[[float], Waitable[None]]) -> None: call(1)\n"
        "def h(x: float) -> None: ...\n"
        "def f() -> None: g(h) #!",
        'expected "Callable[[float], Awaitable[None]]"',
    ),
    "a plain function for a primitive that awaits": (
        PROVEN,
        "def h() -> int: return 1\ndef f(jobs: Jobs) -> Waitable[int]: return jobs.start(h) #!",
        'expected "Callable[[], Coroutine[Any, Any, int]]"',
    ),
    "a lambda": (REFUSED, "def f() -> object: return lambda: wire.send('a') #!", "can't be in a lambda"),
    "a generator expression": (
        REFUSED,
        "def f(x: list[str]) -> object: return any(wire.send(y) for y in x) #!",
        "can't be in a generator expression",
    ),
    "a generator expression over what waits": (
        REFUSED,
        "def f() -> object: return any(y for y in ticks(3)) #!",
        "can't be in a generator expression",
    ),
    "an f-string": (REFUSED, "def f() -> str: return f'{wire.send(chr(1))}' #!", "can't be in an f-string"),
    "a default argument": (REFUSED, "def f(x: str = wire.send('a')) -> None: ... #!", "can't be in a default argument"),
    "a decorator": (REFUSED, "@wire.send('a') #!\ndef f() -> None: ...", "can't be in a decorator"),
    "a class body": (REFUSED, "class C:\n    x = wire.send('a') #!", "can't be in a class body"),
    "module level": (REFUSED, "wire.send('a') #!", "can't be in module level"),
    "a property": (
        REFUSED,
        "class C:\n    @property\n    def x(self) -> str: return wire.send('a') #!",
        "is a property",
    ),
    "__init__": (REFUSED, "class C:\n    def __init__(self) -> None: pause(1) #!", "__init__ can't"),
    "__del__": (REFUSED, "class C:\n    def __del__(self) -> None: pause(1) #!", "__del__ can't"),
    "__eq__": (
        REFUSED,
        "class C:\n    def __eq__(self, other: object) -> bool: pause(1); return True #!",
        "__eq__ can't",
    ),
    "a nested function in foreign hands": (
        REFUSED,
        "def f() -> object:\n    def g() -> None: pause(1)\n    return map(g, [1]) #!",
        "map can't wait for it",
    ),
    "time.sleep": (
        REFUSED,
        "def f() -> None: time.sleep(1) #!",
        "time.sleep() blocks; put what waits into shop/_io.py",
    ),
    "open": (REFUSED, "def f() -> None: open('a') #!", "builtins.open() blocks"),
    "subprocess": (REFUSED, "def f() -> None: subprocess.run(['a']) #!", "subprocess.run() blocks"),
    "an event": (REFUSED, "def f() -> None: threading.Event() #!", "threading.Event() blocks"),
    "a missing primitive": (REFUSED, "from ._io import missing #!", 'has no attribute "missing"'),
    "a missing member": (REFUSED, "def f(x: Wire) -> None: x.nothing() #!", 'has no attribute "nothing"'),
    "mixed managers": (
        REFUSED,
        MANAGER + "def f(x: C, y: threading.RLock) -> None:\n    with x, y: ... #!",
        "waits for some types",
    ),
    "an unknown manager": (
        REFUSED,
        MANAGER + "def f(x: Any) -> None:\n    with x: ... #!",
        "can't tell whether `with x` waits",
    ),
    "an unknown iterable": (
        REFUSED,
        "class C:\n    def __iter__(self) -> Iterator[int]:\n        pause(1)\n        yield 1\n"
        "def f(x: Any) -> None:\n    for y in x: ... #!",
        "can't tell whether iterating over x waits",
    ),
    "yield from": (PROVEN, "def f() -> Iterator[int]: yield from ticks(3) #!", '"yield from" can\'t be applied'),
    "a list of what waits": (REFUSED, "def f() -> list[int]: return list(ticks(3)) #!", "list can't wait for it"),
    "a generator that returns": (
        REFUSED,
        "def f() -> Iterator[int]:\n    pause(1)\n    yield 1\n    return 2 #!",
        "No return value expected",
    ),
    "an annotation as Generator": (
        PROVEN,
        "def f() -> Generator[int, None, None]: #!\n    pause(1)\n    yield 1",
        '"AsyncGenerator" expects',
    ),
    "a caching decorator": (REFUSED, "@functools.cache #!\ndef f() -> None: pause(1)", "may not expect that"),
    "overriding that disagrees": (
        CORRECT,
        "class A:\n    def m(self) -> None: return None\nclass B(A):\n    def m(self) -> None: pause(1) #!-",
        "async def m(self) -> None: return None",
    ),
    "implementations that disagree": (
        CORRECT,
        "class P(Protocol):\n    def m(self) -> None: ...\n"
        "class A:\n    def m(self) -> None: return None #!-\nclass B:\n    def m(self) -> None: pause(1)",
        "async def m(self) -> None: return None",
    ),
    "a foreign base": (
        REFUSED,
        "class C(threading.Thread):\n    def run(self) -> None: pause(1) #!-",
        "threading.Thread may call it without waiting",
    ),
    "a Waitable function that does more": (
        REFUSED,
        "def f() -> Waitable[str]:\n    pause(1) #!\n    return wire.send('a')",
        "may only return such a call",
    ),
    "a Waitable function that returns a value": (
        PROVEN,
        "def f() -> Waitable[str]: return 'a' #!",
        'expected "Awaitable[str]"',
    ),
    "closing": (
        REFUSED,
        "import contextlib\ndef f(x: Wire) -> None:\n    with contextlib.closing(x): ... #!",
        "closing() may call x.close",
    ),
    "an instance that waits when called, in foreign hands": (
        REFUSED,
        "class C:\n    def __call__(self, x: str) -> None: pause(1)\n"
        "def f(c: C) -> object: return sorted('ab', key=c) #!",
        "sorted() may call c",
    ),
    "an unknown callable where instances wait when called": (
        REFUSED,
        "class C:\n    def __call__(self, x: str) -> None: pause(1)\ndef f(c: Any) -> None: c('a') #!",
        "can't tell whether c() waits",
    ),
    "a generator function for a plain parameter": (
        REFUSED,
        "def g(make: Callable[[int], Iterator[int]]) -> None: ...\ndef f() -> None: g(ticks) #!",
        "annotate the parameter of g",
    ),
    "an iterator returned as something else": (REFUSED, "def f() -> object: return ticks(3) #!", "gets out of sight"),
    "a type tested before it was assigned anew": (
        CORRECT,
        "def f(x: Wire | Plain) -> None:\n    if isinstance(x, Wire): return\n    x = wire\n    x.send('a') #!",
        "await x.send('a')",
    ),
    "a comprehension in a comprehension": (
        REFUSED,
        "def f(x: list[list[str]]) -> object: return [[wire.send(z) for z in y] for y in x] #!",
        "needs Python 3.11",
    ),
    "an import by name": (
        REFUSED,
        "import importlib\ndef f() -> None: importlib.import_module('shop._io') #!",
        "hides what it gives",
    ),
    "getattr": (REFUSED, "def f(x: Wire) -> object: return getattr(x, 'send') #!", "write .send"),
    "a computed getattr": (REFUSED, "def f(x: Wire, y: str) -> object: return getattr(x, y) #!", "name the attribute"),
    "a method replaced": (REFUSED, "def f(x: Wire) -> None: x.send = str #!", "replaces something that waits"),
    "a star import": (REFUSED, "from ._io import * #!", "name it"),
    "async in the source": (REFUSED, "async def f() -> None: ... #!", "the source is blocking code"),
    "a broken example": (REFUSED, "def f() -> None:\n    '''F.\n\n    >>> wire.send( #!\n    '''", "not Python"),
    "an unknown name in an example": (
        REFUSED,
        "def f() -> None:\n    '''F.\n\n    >>> thing.send('a') #!\n    '''",
        "can't tell what thing is",
    ),
}


@pytest.mark.parametrize(("outcome", "source", "text"), CASES.values(), ids=CASES)
def test_what_becomes_of(tmp_path: Path, outcome: str, source: str, text: str) -> None:
    check_case(tmp_path, HEAD + source, outcome, text)


ALLOWED = {
    "a known type of the same method name": ("def f(x: Plain) -> str: return x.send('a')", "x.send('a')"),
    "a dict's method": (
        "class C:\n    def get(self) -> None: pause(1)\ndef f(x: dict[str, str]) -> None: x.get('a')",
        "def f(x: dict[str, str]) -> None: x.get('a')",
    ),
    "a primitive given a function": (
        "def f(jobs: Jobs) -> Waitable[None]: return jobs.start(g)\ndef g() -> None: pause(1)",
        "def f(jobs: Jobs) -> Waitable[None]: return jobs.start(g)",
    ),
    "what is tested": ("def f(x: Wire | Plain) -> None:\n    if isinstance(x, Wire): x.send('a')", "await x.send('a')"),
    "a lock": ("lock = threading.Lock()\ndef f() -> None:\n    with lock: now()\n    pause(1)", "    with lock: now()"),
    "optional": ("def f(x: Wire | None) -> None:\n    if x: x.send('a')", "if x: await x.send('a')"),
    "a quoted annotation": ("def f(x: 'Wire | None') -> None:\n    x and x.send('a')", "x and await x.send('a')"),
    "an annotated iterator": (
        "def f() -> None:\n    x: Iterator[int] = ticks(3)\n    for y in x: print(y)",
        "    async for y in x: print(y)",
    ),
    "the outermost iterable of a generator": (
        "def f() -> bool: return any(c for c in wire.send('a'))",
        "any(c for c in await wire.send('a'))",
    ),
}


@pytest.mark.parametrize(("source", "line"), ALLOWED.values(), ids=ALLOWED)
def test_allowed(tmp_path: Path, source: str, line: str) -> None:
    assert line in twin_of(tmp_path, module=HEAD + source)


def refusal(root: Path) -> str:
    with pytest.raises(Refused) as refused:
        generate(root, SETTINGS)
    return str(refused.value)


def proof(root: Path) -> list[str]:
    twins = prepare(root, SETTINGS)
    twins.write(root)
    return [str(problem) for problem in prove(twins)]


def test_primitives_that_asyncio_lacks_are_found_by_the_second_proof(tmp_path: Path) -> None:
    root = make(tmp_path, module="from ._io import Wire, extra\n\ndef f(wire: Wire) -> None: wire.more(); extra()\n")
    file = root / "shop" / "_io.py"
    more = "class Wire:\n    def more(self) -> None: ...\n"
    file.write_text(file.read_text("utf-8").replace("class Wire:\n", more) + "\n\ndef extra() -> None: ...\n", "utf-8")
    assert [line.partition(" (")[0] for line in proof(root)] == [
        'shop_async/module.py:1: mypy: Module "shop_async._io" has no attribute "extra"',
        'shop_async/module.py:3: mypy: "Wire" has no attribute "more"',
    ]


def test_primitives_that_take_other_arguments_are_found_by_the_second_proof(tmp_path: Path) -> None:
    root = make(tmp_path, module="from ._io import pause\n\ndef f() -> None: pause(seconds=1)\n")
    file = root / "shop_async" / "_io.py"
    file.write_text(file.read_text().replace("def pause(seconds: float)", "def pause(delay: float)"))
    (found,) = proof(root)
    assert found.startswith('shop_async/module.py:3: mypy: Unexpected keyword argument "seconds" for "pause"')
    assert found.endswith("(generated from shop/module.py:3)")


@pytest.mark.parametrize("package", ["shop", "shop_async"])
def test_a_module_of_the_primitives_that_one_package_lacks_is_refused(tmp_path: Path, package: str) -> None:
    root = make(tmp_path, module="from ._io import pause\n")
    split_primitives(root)
    (root / package / "_io" / "clocks.py").write_text("", "utf-8")
    assert refusal(root) == "shop_async/_io/clocks.py:1: shop and shop_async must both have it, written by hand"


def test_a_project_without_primitives_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "shop_async/_io.py:1: shop and shop_async must both have it, written by hand"


def test_what_blocks_is_to_go_into_the_primitives_package(tmp_path: Path) -> None:
    root = make(tmp_path, module=HEAD + "import time\ndef f() -> None: time.sleep(1)\n")
    split_primitives(root)
    assert "put what waits into shop/_io and call that" in refusal(root)


def test_what_waits_is_no_implementation_of_a_protocol_in_a_shared_module(tmp_path: Path) -> None:
    shared = "from typing import Protocol\nclass Sends(Protocol):\n    def send(self, text: str) -> str: ...\n"
    user = "from .shared import Sends\ndef f(x: Sends) -> str: return x.send('a')\ndef g() -> str: return f(wire)\n"
    assert "f() may call wire.send, which can't wait there" in refusal(
        make(tmp_path, module=HEAD + user, shared=shared)
    )


def test_a_module_that_is_not_read_holds_nothing_that_waits(tmp_path: Path) -> None:
    called = "class C:\n    def __call__(self) -> None: pause(1)\nfrom .plain import quiet\ndef f() -> None: quiet()\n"
    root = make(tmp_path, module=HEAD + called, plain="def quiet() -> None: ...\n")
    prepare(root, replace(SETTINGS, unread=("shop.plain",))).write(root)
    assert "def f() -> None: quiet()" in (root / "shop_async" / "module.py").read_text("utf-8")


def test_all_problems_are_told_at_once_and_sorted(tmp_path: Path) -> None:
    source = textwrap.dedent(
        """
        def f(x): x.send('a')
        def g(): open('a')
        """
    )
    lines = refusal(make(tmp_path, module=HEAD + source)).splitlines()
    assert [line.split(":")[1] for line in lines] == ["10", "11"]
