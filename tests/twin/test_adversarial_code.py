"""Classes, exceptions, tests, locks and documents in which a wait hides, or seems to: what becomes of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from .adversary import HEAD
from .golden import CORRECT, PROVEN, REFUSED, check_case

CASES = {
    "what is tested before it may be awaited": (
        REFUSED,
        "from ._io import Waitable\ndef a() -> Waitable[str]: return wire.send('x')\n"
        "def f() -> Waitable[str]: return a() if a() else wire.send('y') #!",
        "may only return such a call",
    ),
    "an __iter__ that waits and is no generator": (
        REFUSED,
        "class C:\n    def __iter__(self) -> Iterator[int]: pause(1); return iter([1]) #!",
        "__iter__ can't wait",
    ),
    "super of a class": (
        CORRECT,
        "class C(Box):\n    def go(self) -> str: return super(C, self).go()",
        "async def go(self) -> str: return await super(C, self).go()",
    ),
    "a base AbstractContextManager": (
        CORRECT,
        "class C(AbstractContextManager['C']):\n    def __enter__(self) -> C: pause(1); return self\n"
        "    def __exit__(self, *e: object) -> None: ...\ndef f() -> None:\n    with C(): pass",
        "async with C(): pass",
    ),
    "a base AbstractContextManager that enters": (
        CORRECT,
        "class C(AbstractContextManager['C']):\n    def __exit__(self, *e: object) -> None: pause(1)\n"
        "def f() -> None:\n    with C(): pass",
        "async with C(): pass",
    ),
    "a base Iterator": (
        CORRECT,
        "class C(Iterator[int]):\n    def __next__(self) -> int: pause(1); raise StopIteration\n"
        "def f() -> None:\n    for x in C(): print(x)",
        "async for x in C(): print(x)",
    ),
    "a base Iterable": (
        CORRECT,
        "class C(Iterable[int]):\n    def __iter__(self) -> Iterator[int]:\n        pause(1)\n"
        "        yield 1\ndef f() -> None:\n    for x in C(): print(x)",
        "async for x in C(): print(x)",
    ),
    "a base collections.abc.Iterator": (
        CORRECT,
        "import collections.abc\nclass C(collections.abc.Iterator[int]):\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration\ndef f() -> None:\n"
        "    for x in C(): print(x)",
        "async for x in C(): print(x)",
    ),
    "StopIteration in suppress": (
        CORRECT,
        "class C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration\ndef f(c: C) -> None:\n"
        "    with contextlib.suppress(StopIteration):\n        while True: next(c)",
        "with contextlib.suppress(StopAsyncIteration):",
    ),
    "StopIteration raised by a helper": (
        REFUSED,
        "def stop() -> None: raise StopIteration #!\nclass C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); stop(); return 1",
        "StopIteration has another name in the twin's __next__:",
    ),
    "StopIteration let through by a helper": (
        CORRECT,
        "class C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration\n"
        "def step(c: C) -> int: return next(c)\ndef f(c: C) -> None:\n    try: step(c)\n"
        "    except StopIteration: pass",
        "except StopAsyncIteration: pass",
    ),
    "StopIteration under another name": (
        REFUSED,
        "Stop = StopIteration #!\nclass C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise Stop",
        "StopIteration has another name in the twin's __next__:",
    ),
    "StopIteration in a tuple": (
        REFUSED,
        "class C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration\n"
        "STOPS = (StopIteration, ValueError) #!\ndef f(c: C) -> None:\n    try: next(c)\n"
        "    except STOPS: pass",
        "StopIteration has another name in the twin's __next__:",
    ),
    "StopIteration as a call": (
        CORRECT,
        "class C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration()\ndef f(c: C) -> None:\n"
        "    for x in c: print(x)",
        "async for x in c: print(x)",
    ),
    "StopIteration of an iterator that does not wait": (
        REFUSED,
        "class C:\n    def __init__(self) -> None: self.i = iter([1])\n"
        "    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); return next(self.i) #!",
        "`next(self.i)` stops by another exception than what waits",
    ),
    "builtins.StopIteration": (
        REFUSED,
        "import builtins\nclass C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise builtins.StopIteration #!",
        "StopIteration has another name in the twin: write it",
    ),
    "hasattr of __iter__": (
        REFUSED,
        "def f(x: object) -> bool: return hasattr(x, '__iter__') #!",
        "__iter__ has another name in the twin: test for a class",
    ),
    "hasattr of __enter__": (
        REFUSED,
        "def f(x: object) -> None:\n    if hasattr(x, '__enter__'): pause(1) #!",
        "__enter__ has another name in the twin: test for a class",
    ),
    "isinstance of an Iterable": (
        REFUSED,
        "def f(x: object) -> bool: return isinstance(x, Iterable) #!",
        "`isinstance(x, Iterable)` says something else of the twin's",
    ),
    "isinstance of an AbstractContextManager": (
        REFUSED,
        "def f(x: object) -> bool: return isinstance(x, AbstractContextManager) #!",
        "`isinstance(x, AbstractContextManager)` says something else",
    ),
    "isinstance of one of several": (
        REFUSED,
        "def f(x: object) -> bool: return isinstance(x, (str, Iterator)) #!",
        "`isinstance(x, (str, Iterator))` says something else of the",
    ),
    "issubclass of an Iterable": (
        REFUSED,
        "def f(x: type) -> bool: return issubclass(x, Iterable) #!",
        "`issubclass(x, Iterable)` says something else of the twin's",
    ),
    "a case of an Iterable": (
        REFUSED,
        "def f(x: object) -> None:\n    match x:\n        case Iterable(): pause(1) #!",
        "`Iterable()` says something else of the twin's classes:",
    ),
    "isinstance of a protocol of ours": (
        CORRECT,
        "@runtime_checkable\nclass P(Protocol):\n    def go(self) -> str: ...\ndef f(x: object) -> None:\n"
        "    if isinstance(x, P): x.go()",
        "if isinstance(x, P): await x.go()",
    ),
    "callable": (
        REFUSED,
        "def f(x: object) -> None:\n    if callable(x): x() #!",
        "`callable(x)` says something else of the twin's classes:",
    ),
    "a lock held over a wait": (
        REFUSED,
        "lock = threading.Lock()\ndef f() -> None:\n    with lock: pause(1) #!",
        "lock is held over a wait, and the thread may wait for",
    ),
    "a lock held over a loop that waits": (
        REFUSED,
        "class L:\n    def __init__(self) -> None: self._l = threading.RLock()\n    def f(self) -> None:\n"
        "        with self._l: #!\n            for x in range(3): pause(x)",
        "self._l is held over a wait, and the thread may wait for",
    ),
    "a lock acquired": (
        REFUSED,
        "lock = threading.Lock()\ndef f() -> None:\n    lock.acquire() #!\n    pause(1)\n    lock.release()",
        "_thread.LockType.acquire() blocks; put what waits into",
    ),
    "a lock of the primitives held over a wait": (
        REFUSED,
        "from ._io import Lock\nclass L:\n    def __init__(self) -> None: self._l = Lock()\n"
        "    def f(self) -> None:\n        with self._l: pause(1) #!",
        "self._l is held over a wait, and the thread may wait for",
    ),
    "a lock held over a yield": (
        REFUSED,
        "lock = threading.Lock()\n@contextlib.contextmanager\ndef held() -> Iterator[None]:\n"
        "    with lock: yield #!\ndef f() -> None:\n    with held(): pause(1)",
        "lock is held over a wait, and the thread may wait for",
    ),
    "time.sleep for map": (
        REFUSED,
        "def f() -> object: return list(map(time.sleep, [1])) #!",
        "time.sleep() blocks; put what waits into shop/_io.py and",
    ),
    "time.sleep under another name": (
        REFUSED,
        "def f() -> None:\n    s = time.sleep #!\n    s(1)",
        "time.sleep() blocks; put what waits into shop/_io.py and",
    ),
    "time.sleep as a default": (
        REFUSED,
        "def f(s: Callable[[float], None] = time.sleep) -> None: s(1) #!",
        "time.sleep() blocks; put what waits into shop/_io.py and",
    ),
    "time.sleep as a method": (
        REFUSED,
        "class C:\n    wait = staticmethod(time.sleep) #!",
        "time.sleep() blocks; put what waits into shop/_io.py and",
    ),
    "time.sleep in a dict": (
        REFUSED,
        "D = {'a': time.sleep} #!",
        "time.sleep() blocks; put what waits into shop/_io.py and",
    ),
    "a decoded document's get": (
        CORRECT,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\n"
        "def f(t: str) -> object: return json.loads(t).get('a')",
        "def f(t: str) -> object: return json.loads(t).get('a')",
    ),
    "a decoded document's get under a name": (
        CORRECT,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\ndef f(t: str) -> object:\n"
        "    d = json.loads(t)\n    if not isinstance(d, dict): return d['x'].get('a')\n"
        "    return d.get('a')",
        "return d.get('a')",
    ),
    "part of a decoded document": (
        CORRECT,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\ndef f(t: str) -> object:\n"
        "    d = json.loads(t)\n    return d['data'].get('a', 1)",
        "return d['data'].get('a', 1)",
    ),
    "what a decoded document is unpacked into": (
        CORRECT,
        "def f(t: str) -> object:\n    (d,) = json.loads(t)\n    return json.loads(d.pop('a'))",
        "return json.loads(d.pop('a'))",
    ),
    "a decoded document of which a part is changed": (
        REFUSED,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\n"
        "def f(t: str) -> object:\n    d = json.loads(t)\n    y = d['y'] or {}\n    y['z'] = G()\n"
        "    return d['y']['z'].get('a') #!",
        "can't tell what d['y']['z'] is",
    ),
    "a decoded document that is changed": (
        REFUSED,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\ndef f(t: str) -> object:\n"
        "    d = json.loads(t)\n    d['x'] = G()\n    return d['x'].get('a') #!",
        "can't tell what d['x'] is, and get waits somewhere:",
    ),
    "a decoded document that others may change": (
        REFUSED,
        "class G:\n    def get(self, x: str) -> str: pause(1); return x\n"
        "def g(d: Any) -> None: d['x'] = G()\ndef f(t: str) -> object:\n    d = json.loads(t); g(d)\n"
        "    return d['x'].get('a') #!",
        "can't tell what d['x'] is, and get waits somewhere:",
    ),
    "self appended": (
        CORRECT,
        "class S:\n    def go2(self, xs: list[S]) -> None: pause(1); xs.append(self)",
        "async def go2(self, xs: list[S]) -> None: await pause(1); xs.append(self)",
    ),
    "a match of classes": (
        CORRECT,
        "def f(x: Box | str) -> str:\n    match x:\n        case Box(): return x.go()\n        case str(): return x",
        "case Box(): return await x.go()",
    ),
    "a match of a mapping": (
        CORRECT,
        "def f(x: dict[str, Box]) -> None:\n    match x:\n        case {'a': b}: b.go()",
        "case {'a': b}: await b.go()",
    ),
    "a match of a sequence": (
        CORRECT,
        "def f(x: list[Box]) -> None:\n    match x:\n        case [b, *rest]: b.go(); [y.go() for y in rest]",
        "case [b, *rest]: await b.go(); [await y.go() for y in rest]",
    ),
    "a match of anything": (
        REFUSED,
        "def f(x: Any) -> None:\n    match x:\n        case {'a': b}: b.go() #!",
        "can't tell what b is, and go waits somewhere: annotate b",
    ),
    "a bound type variable": (
        CORRECT,
        "B = TypeVar('B', bound=Box)\ndef f(x: B) -> B: x.go(); return x",
        "async def f(x: B) -> B: await x.go(); return x",
    ),
    "a bound type variable of a class": (
        CORRECT,
        "B = TypeVar('B', bound=Box)\nclass G(Generic[B]):\n"
        "    def __init__(self, b: B) -> None: self.b = b\n    def go2(self) -> str: return self.b.go()",
        "async def go2(self) -> str: return await self.b.go()",
    ),
    "a type variable of several types": (
        CORRECT,
        "B = TypeVar('B', Box, Wire)\ndef f(x: B) -> B: return x\ndef g(b: Box) -> str: return f(b).go()",
        "async def g(b: Box) -> str: return await f(b).go()",
    ),
    "other calls beside a class with __call__": (
        CORRECT,
        "def f(cb: Callable[[], int], kind: type[Plain], p: Any) -> object: cb(); kind(); pause(1); return p['x']",
        "async def f(cb: Callable[[], int], kind: type[Plain], p: Any) -> object: cb(); kind(); await "
        "pause(1); return p['x']",
    ),
    "a document beside a class with __call__": (
        CORRECT,
        "def f(t: str) -> None: json.loads(t)['x'].strip()",
        "def f(t: str) -> None: json.loads(t)['x'].strip()",
    ),
    "what a partial of a class makes": (
        CORRECT,
        "def f(b: Box) -> object: return functools.partial(Box)().go()",
        "async def f(b: Box) -> object: return await functools.partial(Box)().go()",
    ),
    "what a context variable holds": (
        CORRECT,
        "import contextvars\nV: contextvars.ContextVar[Box] = contextvars.ContextVar('V')\n"
        "def f() -> str: return V.get().go()",
        "async def f() -> str: return await V.get().go()",
    ),
    "what dataclasses.asdict hands back": (
        REFUSED,
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    box: Box\n"
        "def f(d: D) -> object: return dataclasses.asdict(d)['box'].go() #!",
        "can't tell what dataclasses.asdict(d)['box'] is, and go",
    ),
    "what a defaultdict makes": (
        CORRECT,
        "import collections\ndef f() -> None:\n"
        "    d: collections.defaultdict[str, Box] = collections.defaultdict(Box)\n    d['a'].go()",
        "await d['a'].go()",
    ),
    "what max hands back": (
        CORRECT,
        "def f(x: list[Box]) -> str: return max(x, key=id).go()",
        "async def f(x: list[Box]) -> str: return await max(x, key=id).go()",
    ),
    "what zip hands back": (
        CORRECT,
        "def f(x: list[Box]) -> None:\n    for a, b in zip(x, x): a.go(); b.go()",
        "for a, b in zip(x, x): await a.go(); await b.go()",
    ),
    "the fields of a named tuple": (
        CORRECT,
        "from typing import NamedTuple\nclass N(NamedTuple):\n    b: Box\n"
        "def f(n: N) -> None: n.b.go(); n[0].go(); [x.go() for x in n]",
        "async def f(n: N) -> None: await n.b.go(); await n[0].go(); [await x.go() for x in n]",
    ),
    "a function for Callable[..., Any]": (
        REFUSED,
        "def g(cb: Callable[..., Any]) -> None: cb()\ndef f(b: Box) -> None: g(b.go) #!",
        "b.go waits when it is called: annotate the parameter of g",
    ),
    "the truth of a call": (
        CORRECT,
        "class Q:\n    def done(self) -> bool: pause(1); return True\ndef f(q: Q) -> None:\n    if q.done(): pass",
        "if await q.done(): pass",
    ),
    "a function for a pool": (
        REFUSED,
        "from concurrent.futures import Executor\ndef f(e: Executor, b: Box) -> object: return e.submit(b.go) #!",
        "b.go waits when it is called, and e.submit can't wait for it",
    ),
    "a function as an attribute of a class": (
        REFUSED,
        "class C:\n    go2 = Box.go #!",
        "Box.go waits when it is called; here it gets out of sight:",
    ),
    "an instance of the own class": (
        CORRECT,
        "class C(Box):\n    def f(self) -> None: type(self)().go(); self.__class__().go()",
        "async def f(self) -> None: await type(self)().go(); await self.__class__().go()",
    ),
    "a global that is Any": (
        REFUSED,
        "box: Any = Box()\ndef f() -> None: box.go() #!",
        "can't tell what box is, and go waits somewhere: annotate box",
    ),
    "an exception's attribute": (
        CORRECT,
        "class E(Exception):\n    def __init__(self, b: Box) -> None: self.b = b\ndef f() -> None:\n"
        "    try: pass\n    except E as e: e.b.go()",
        "except E as e: await e.b.go()",
    ),
    "a manager made of a generator on an exit stack": (
        REFUSED,
        "@contextlib.contextmanager\ndef h() -> Iterator[Box]:\n    pause(1)\n    yield Box()\n"
        "def f() -> None:\n    with contextlib.ExitStack() as s: s.enter_context(h()).go() #!",
        "h() waits when it is gone through, and s.enter_context",
    ),
    "a generator for enumerate": (
        REFUSED,
        "def g() -> Iterator[int]:\n    pause(1)\n    yield 1\ndef f() -> object: return enumerate(g()) #!",
        "g() waits when it is gone through, and enumerate can't wait",
    ),
    "a generator's own __next__": (
        PROVEN,
        "def g() -> Iterator[int]:\n    pause(1)\n    yield 1\ndef f() -> None:\n    x = g()\n    x.__next__() #!",
        '"AsyncIterator[int]" has no attribute "__next__"; maybe',
    ),
    "an iterator's own __next__": (
        CORRECT,
        "class C:\n    def __iter__(self) -> C: return self\n"
        "    def __next__(self) -> int: pause(1); raise StopIteration\ndef f(c: C) -> None: c.__next__()",
        "async def f(c: C) -> None: await c.__anext__()",
    ),
    "a manager's own __enter__ by its class": (
        CORRECT,
        "def f(h: Held) -> None: type(h).__enter__(h)",
        "async def f(h: Held) -> None: await type(h).__aenter__(h)",
    ),
}


@pytest.mark.parametrize(("outcome", "source", "text"), CASES.values(), ids=CASES)
def test_what_becomes_of(tmp_path: Path, outcome: str, source: str, text: str) -> None:
    check_case(tmp_path, HEAD + source, outcome, text)
