"""What is twinned into what, as data: packages, tests, exceptions, and the calls that twinned code must not make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROJECT", "BLOCKING_CALLS", "Package", "Settings", "TestTree", "find_root"]

# Calls that would block the event loop; in a module that is twinned they belong behind the package's _io.
# A trailing dot covers everything below; a name alone covers exactly that.
BLOCKING_CALLS: frozenset[str] = frozenset(
    {
        "builtins.input",
        "builtins.open",
        "concurrent.futures.",
        "http.client.",
        "io.open",
        "multiprocessing.",
        "os.open",
        "os.popen",
        "os.system",
        "os.wait",
        "os.waitpid",
        "queue.",
        "requests.",
        "select.",
        "selectors.",
        "signal.pause",
        "signal.sigwait",
        "socket.",
        "subprocess.",
        "threading.Barrier",
        "threading.Condition",
        "threading.Event",
        "threading.Semaphore",
        "threading.BoundedSemaphore",
        "threading.Thread",
        "threading.Timer",
        "time.sleep",
        "urllib.request.",
        "urllib3.",
    }
)


@dataclass(frozen=True)
class Package:
    """A package and its twin.

    Attributes:
        source: the blocking package, a folder below the root; only its top level is twinned.
        twin: the generated package, a folder below the root.
        primitives: the module written by hand in both; what reaches it is twinned.
        kept: top-level modules that are never twinned although they may reach the primitives.
        copied: files that are no modules and go along as they are.
    """

    source: str
    twin: str
    primitives: str = "_io"
    kept: tuple[str, ...] = ()
    copied: tuple[str, ...] = ("py.typed",)


@dataclass(frozen=True)
class TestTree:
    """A folder of tests written blocking and the folder of their twins.

    Attributes:
        source: the folder below the root; all its Python files are twinned, in subfolders too.
        twin: the generated folder.
        one_sided: files below ``source`` that are left out, for tests that only make sense in blocking code.
    """

    __test__ = False

    source: str
    twin: str
    one_sided: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Everything one run of the generator has to know about a project."""

    package: Package
    tests: tuple[TestTree, ...] = ()
    blocking_calls: frozenset[str] = BLOCKING_CALLS
    blocking_calls_in_tests: frozenset[str] = frozenset({"time.sleep"})
    # Names that docstring examples use without saying where they come from, beyond the twinned classes'
    # names in lower case: {name: "module.Class"}.
    example_names: tuple[tuple[str, str], ...] = ()
    refresh: str = "python -m twin"


PROJECT = Settings(
    package=Package("ctxmgr", "ctxmgr_async", kept=("testing", "__main__")),
    tests=(TestTree("tests/twinned", "tests/_twinned_async"),),
)


def find_root() -> Path:
    """Give the folder of the project this generator belongs to."""
    return Path(__file__).resolve().parent.parent
