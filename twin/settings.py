"""What is twinned into what, as data: packages, tests, exceptions, and the calls that twinned code must not make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

# How names differ in the asyncio world.
DUNDERS = {"__enter__": "__aenter__", "__exit__": "__aexit__", "__iter__": "__aiter__", "__next__": "__anext__"}
NAMES = {
    **DUNDERS,
    "AbstractContextManager": "AbstractAsyncContextManager",
    "ContextManager": "AsyncContextManager",
    "Generator": "AsyncGenerator",
    "Iterable": "AsyncIterable",
    "Iterator": "AsyncIterator",
    "StopIteration": "StopAsyncIteration",
    "contextmanager": "asynccontextmanager",
}
# What a plain function may be annotated to return if its callers are to await it.
AWAITABLE = {"Waitable", "Awaitable", "Coroutine", "Future", "Task"}
# Decorators under which a function may become a coroutine.
DECORATORS = {"staticmethod", "classmethod", "overload", "abstractmethod", "override", "final", "contextmanager"}
# Locks of threads: held over an await, one would keep the thread from the task that is to release it.
LOCKS = ("_thread.lock", "_thread.LockType", "_thread.RLock", "threading.Lock", "threading.RLock", "threading._RLock")
# What would block the event loop, with all that is in it; in a module that is twinned it belongs into the primitives.
BLOCKING = (
    *("builtins.input", "builtins.open", "io.open", "time.sleep", "signal.pause", "signal.sigwait"),
    *("os.open", "os.popen", "os.system", "os.wait", "os.waitpid"),
    *("concurrent.futures", "multiprocessing", "queue", "select", "selectors", "subprocess"),
    *("http.client", "requests", "socket", "urllib.request", "urllib3"),
    *("threading.Barrier", "threading.BoundedSemaphore", "threading.Condition", "threading.Event"),
    *("threading.Semaphore", "threading.Thread", "threading.Timer", *(f"{lock}.acquire" for lock in LOCKS)),
)
# Functions that return plain data, whatever their return type says.
DECODERS = ("json.load", "json.loads", "tomllib.load", "tomllib.loads")


@dataclass(frozen=True)
class Folder:
    """A folder below the root and that of its twins."""

    source: str
    twin: str

    by_hand: ClassVar[tuple[str, ...]] = ()  # patterns of what is not generated


@dataclass(frozen=True)
class Package(Folder):
    """A package, of which only the top level is twinned: what reaches the primitives, written by hand in both."""

    by_hand: ClassVar[tuple[str, ...]] = ("_io.py", "_io/*.py")  # the primitives, a module or a package


@dataclass(frozen=True)
class TestTree(Folder):
    """Tests written blocking, in subfolders too; one-sided files are left out: they make no sense in asyncio."""

    __test__ = False

    one_sided: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Everything one run of the generator has to know about a project."""

    package: Package
    tests: tuple[TestTree, ...] = ()
    kept: tuple[str, ...] = ()  # modules that are never twinned although they may reach the primitives
    unread: tuple[str, ...] = ()  # modules that twinned code only passes through: mypy need not read them

    @property
    def folders(self) -> tuple[Folder, ...]:
        """All folders with twins, the package's first."""
        return (self.package, *self.tests)


PROJECT = Settings(
    package=Package("ctxmgr", "ctxmgr_async"),
    tests=(TestTree("tests/twinned", "tests/_twinned_async"),),
    kept=("ctxmgr.testing", "ctxmgr.__main__"),
    unread=("ctxmgr.service", "ctxmgr.node", "ctxmgr.cli", "ctxmgr.testing", "ctxmgr._embedded"),
)


def find_root() -> Path:
    """Return the folder of the project this generator belongs to."""
    return Path(__file__).resolve().parent.parent
