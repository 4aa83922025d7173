"""What can't be proven or twinned is refused, with its line and what to do."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from twin import Refused, generate

from .golden import SETTINGS, make, twin_of

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

REFUSED = {
    "an unknown receiver": ("def f(x): x.send('a') #!", "can't tell what x is"),
    "a receiver that is Any": ("def f(x: Any) -> None: x.send('a') #!", "annotate x"),
    "an unknown receiver's method as a value": ("def f(x: Any) -> object: return x.send #!", "can't tell what x is"),
    "one of several types": ("def f(x: Wire | Plain) -> None: x.send('a') #!", "waits for some types"),
    "an undeclared attribute": ("def f(x: Plain) -> None: x.close() #!", "declares no close"),
    "a type variable": ("def f(x: list) -> None: x[0].send('a') #!", "can't tell what x[0] is"),
    "what foreign code gives back": (
        "def f(x: Wire) -> None: functools.reduce(max, [x]).close() #!",
        "can't tell what functools.reduce(max, [x]) is",
    ),
    "a thread's target": (
        "def f() -> None: threading.Thread(target=wire.send) #!",
        "wire.send waits when it is called, and threading.Thread can't wait for it",
    ),
    "a partial": ("def f() -> object: return functools.partial(wire.send, 'a') #!", "functools.partial can't wait"),
    "a sort key": ("def f(x: list[str]) -> object: return sorted(x, key=wire.send) #!", "sorted can't wait for it"),
    "a function in a container": ("def f() -> None: x = {'send': wire.send} #!", "gets out of sight"),
    "a function in a foreign list": ("def f(x: list[Any]) -> None: x.append(pause) #!", "x.append can't wait for it"),
    "a function for a plain parameter": (
        "def g(call: Callable[[float], None]) -> None: ...\ndef f() -> None: g(pause) #!",
        "annotate the parameter of g that takes it as Callable[..., Waitable[...]]",
    ),
    "a function in a plain variable": (
        "def f() -> None:\n    x: Callable[[float], None] = pause #!\n    x(1)",
        "gets out of sight",
    ),
    "a function that is returned": (
        "def f() -> Callable[[float], None]: return pause #!",
        "pause waits when it is called; here it gets out of sight",
    ),
    "a plain function where one that waits is expected": (
        "def g(call: Callable[[float], Waitable[None]]) -> None: call(1)\n"
        "def h(x: float) -> None: ...\n"
        "def f() -> None: g(h) #!",
        "h does not wait, and g awaits it",
    ),
    "a plain function for a primitive that awaits": (
        "def h() -> int: return 1\ndef f(jobs: Jobs) -> Waitable[int]: return jobs.start(h) #!",
        "h does not wait, and jobs.start awaits it",
    ),
    "a lambda": ("def f() -> object: return lambda: wire.send('a') #!", "can't be in a lambda"),
    "a generator expression": (
        "def f(x: list[str]) -> object: return any(wire.send(y) for y in x) #!",
        "can't be in a generator expression",
    ),
    "a generator expression over what waits": (
        "def f() -> object: return any(y for y in ticks(3)) #!",
        "can't be in a generator expression",
    ),
    "an f-string": ("def f() -> str: return f'{wire.send(chr(1))}' #!", "can't be in an f-string"),
    "a default argument": ("def f(x: str = wire.send('a')) -> None: ... #!", "can't be in a default argument"),
    "a decorator": ("@wire.send('a') #!\ndef f() -> None: ...", "can't be in a decorator"),
    "a class body": ("class C:\n    x = wire.send('a') #!", "can't be in a class body"),
    "module level": ("wire.send('a') #!", "can't be in module level"),
    "a property": ("class C:\n    @property\n    def x(self) -> str: return wire.send('a') #!", "is a property"),
    "__init__": ("class C:\n    def __init__(self) -> None: pause(1) #!", "__init__ can't"),
    "__del__": ("class C:\n    def __del__(self) -> None: pause(1) #!", "__del__ can't"),
    "__eq__": ("class C:\n    def __eq__(self, other: object) -> bool: pause(1); return True #!", "__eq__ can't"),
    "a nested function in foreign hands": (
        "def f() -> object:\n    def g() -> None: pause(1)\n    return map(g, [1]) #!",
        "map can't wait for it",
    ),
    "time.sleep": ("def f() -> None: time.sleep(1) #!", "time.sleep() blocks; put what waits into shop/_io.py"),
    "open": ("def f() -> None: open('a') #!", "builtins.open() blocks"),
    "subprocess": ("def f() -> None: subprocess.run(['a']) #!", "subprocess.run() blocks"),
    "an event": ("def f() -> None: threading.Event() #!", "threading.Event() blocks"),
    "a missing primitive": ("from ._io import missing #!", "missing is missing from shop_async/_io.py"),
    "a missing member": ("def f(x: Wire) -> None: x.nothing() #!", "Wire.nothing is missing from shop_async/_io.py"),
    "mixed managers": (
        MANAGER + "def f(x: C, y: threading.RLock) -> None:\n    with x, y: ... #!",
        "some of these context managers wait",
    ),
    "an unknown manager": (
        MANAGER + "def f(x: Any) -> None:\n    with x: ... #!",
        "can't tell whether `with x` waits",
    ),
    "an unknown iterable": (
        "class C:\n    def __iter__(self) -> Iterator[int]:\n        pause(1)\n        yield 1\n"
        "def f(x: Any) -> None:\n    for y in x: ... #!",
        "can't tell whether iterating over x waits",
    ),
    "yield from": ("def f() -> Iterator[int]: yield from ticks(3) #!", "use `for item in ...: yield item`"),
    "a list of what waits": ("def f() -> list[int]: return list(ticks(3)) #!", "list can't wait for it"),
    "a generator that returns": (
        "def f() -> Iterator[int]:\n    pause(1)\n    yield 1\n    return 2 #!",
        "can't return a value",
    ),
    "an annotation as Generator": (
        "def f() -> Generator[int, None, None]: #!\n    pause(1)\n    yield 1",
        "annotate it as Iterator",
    ),
    "a caching decorator": ("@functools.cache #!\ndef f() -> None: pause(1)", "may not expect that"),
    "overriding that disagrees": (
        "class A:\n    def m(self) -> None: return None\nclass B(A):\n    def m(self) -> None: pause(1) #!-",
        "make them agree",
    ),
    "implementations that disagree": (
        "class P(Protocol):\n    def m(self) -> None: ...\n"
        "class A:\n    def m(self) -> None: return None #!-\nclass B:\n    def m(self) -> None: pause(1)",
        "make them agree",
    ),
    "a foreign base": (
        "class C(threading.Thread):\n    def run(self) -> None: pause(1) #!-",
        "threading.Thread may call it without waiting",
    ),
    "a Waitable function that does more": (
        "def f() -> Waitable[str]:\n    pause(1) #!\n    return wire.send('a')",
        "may only return such a call",
    ),
    "a Waitable function that returns a value": (
        "def f() -> Waitable[str]: return 'a' #!",
        "returns 'a', which is no call that waits",
    ),
    "closing": (
        "import contextlib\ndef f(x: Wire) -> None:\n    with contextlib.closing(x): ... #!",
        "closing() can't enter x",
    ),
    "an instance that waits when called, in foreign hands": (
        "class C:\n    def __call__(self, x: str) -> None: pause(1)\n"
        "def f(c: C) -> object: return sorted('ab', key=c) #!",
        "sorted() may call c",
    ),
    "an unknown callable where instances wait when called": (
        "class C:\n    def __call__(self, x: str) -> None: pause(1)\ndef f(c: Any) -> None: c('a') #!",
        "can't tell whether c() waits",
    ),
    "a generator function for a plain parameter": (
        "def g(make: Callable[[int], Iterator[int]]) -> None: ...\ndef f() -> None: g(ticks) #!",
        "annotate the parameter of g",
    ),
    "an iterator returned as something else": ("def f() -> object: return ticks(3) #!", "gets out of sight"),
    "a type tested before it was assigned anew": (
        "def f(x: Wire | Plain) -> None:\n    if isinstance(x, Wire): return\n    x = wire\n    x.send('a') #!",
        "waits for some types",
    ),
    "a comprehension in a comprehension": (
        "def f(x: list[list[str]]) -> object: return [[wire.send(z) for z in y] for y in x] #!",
        "needs Python 3.11",
    ),
    "an import by name": (
        "import importlib\ndef f() -> None: importlib.import_module('shop._io') #!",
        "hides what it gives",
    ),
    "getattr": ("def f(x: Wire) -> object: return getattr(x, 'send') #!", "write .send"),
    "a computed getattr": ("def f(x: Wire, y: str) -> object: return getattr(x, y) #!", "name the attribute"),
    "a method replaced": ("def f(x: Wire) -> None: x.send = str #!", "replaces something that waits"),
    "a star import": ("from ._io import * #!", "name it"),
    "async in the source": ("async def f() -> None: ... #!", "the source is blocking code"),
    "a broken example": ("def f() -> None:\n    '''F.\n\n    >>> wire.send( #!\n    '''", "not Python"),
    "an unknown name in an example": (
        "def f() -> None:\n    '''F.\n\n    >>> thing.send('a') #!\n    '''",
        "can't tell what thing is",
    ),
}


@pytest.mark.parametrize(("source", "text"), REFUSED.values(), ids=REFUSED)
def test_refused(tmp_path: Path, source: str, text: str) -> None:
    module = HEAD + source
    line = next(number for number, each in enumerate(module.splitlines(), 1) if "#!" in each)
    root = make(tmp_path, module=module)
    with pytest.raises(Refused) as refused:
        generate(root, SETTINGS)
    assert [(p.path, p.line) for p in refused.value.problems if text in p.text] == [("shop/module.py", line)], (
        refused.value
    )
    assert not (root / "shop_async" / "module.py").exists()


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
    "a lock": ("lock = threading.Lock()\ndef f() -> None:\n    with lock: pause(1)", "    with lock: await pause(1)"),
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


def test_a_coroutine_without_a_counterpart_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path, module=HEAD)
    with (root / "shop_async" / "_io.py").open("a") as file:
        file.write("\nasync def gone() -> None: ...\n")
    assert "gone has no counterpart in shop/_io.py" in refusal(root)


def test_primitives_that_take_other_arguments_are_refused(tmp_path: Path) -> None:
    root = make(tmp_path, module=HEAD + "def f() -> None: pause(1)")
    file = root / "shop_async" / "_io.py"
    file.write_text(file.read_text().replace("def pause(seconds: float)", "def pause(delay: float)"))
    assert "pause takes (seconds) here and (delay)" in refusal(root)


def test_a_protocol_in_a_shared_module_must_not_be_implemented_by_what_waits(tmp_path: Path) -> None:
    shared = "from typing import Protocol\nclass Sends(Protocol):\n    def send(self, text: str) -> str: ...\n"
    user = HEAD + "from .shared import Sends\ndef f(x: Sends) -> str: return x.send('a')\n"
    assert "make them agree" in refusal(make(tmp_path, module=user, shared=shared))


def test_all_problems_are_told_at_once_and_sorted(tmp_path: Path) -> None:
    source = textwrap.dedent(
        """
        def f(x): x.send('a')
        def g(): open('a')
        """
    )
    lines = refusal(make(tmp_path, module=HEAD + source)).splitlines()
    assert [line.split(":")[1] for line in lines] == ["10", "11"]
