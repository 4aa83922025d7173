"""What is known about types that are not the project's: builtins, containers, and which of them can't hold ours."""

from __future__ import annotations

import builtins

__all__ = [
    "ITERATORS",
    "MADE",
    "PASSING_ON",
    "base_name",
    "calls_later",
    "hides_names",
    "is_class_name",
    "is_harmless_base",
    "is_innocent",
    "is_iterable_of_first",
    "is_mapping",
    "is_sync_manager",
    "shows_members",
]

_MAPPINGS = frozenset(
    {
        "dict",
        "defaultdict",
        "OrderedDict",
        "Mapping",
        "MutableMapping",
        "Dict",
        "WeakValueDictionary",
        "ChainMap",
        "Counter",
    }
)
_FIRST = frozenset(
    {
        "list", "List", "set", "Set", "frozenset", "FrozenSet", "deque", "Deque", "Sequence", "MutableSequence",
        "MutableSet", "AbstractSet", "Collection", "Iterable", "Iterator", "Generator", "Reversible",
        "Container", "KeysView", "ValuesView", "WeakSet",
    }
)  # fmt: skip
ITERATORS = frozenset({"Iterable", "Iterator", "Generator"})
# What a function of ours may be annotated to return that waits later, when it is iterated over or entered.
MADE = ITERATORS | {"AbstractContextManager", "ContextManager"}

# Builtins and others that give back what they were given: the result's type is the first argument's.
PASSING_ON = frozenset(
    {"attrs.evolve", "attr.evolve", "copy.copy", "copy.deepcopy", "dataclasses.replace", "typing.final"}
)

# Classes of these modules never hand back an object they were given, so nothing of ours can come out of them.
_INNOCENT_MODULES = frozenset(
    {
        "argparse", "array", "aiohttp", "attr", "attrs", "base64", "cattrs", "dataclasses", "datetime",
        "decimal", "email", "enum", "errno", "fractions", "hashlib", "hmac", "html", "http", "io", "ipaddress",
        "json", "locale", "logging", "math", "os", "pathlib", "platform", "pytest", "random", "re", "requests",
        "responses", "secrets", "shutil", "signal", "socket", "sqlite3", "ssl", "stat", "string", "struct",
        "subprocess", "sys", "tempfile", "textwrap", "threading", "time", "traceback", "types", "urllib",
        "uuid", "warnings", "zlib", "zoneinfo",
    }
)  # fmt: skip
_HOLDERS = frozenset(
    {
        "pytest.FixtureRequest",
        "threading.local",
        "types.SimpleNamespace",
        "types.MethodType",
        "types.FunctionType",
    }
)
_SCALARS = frozenset(
    {
        "str", "bytes", "bytearray", "int", "float", "bool", "complex", "None", "range", "memoryview", "slice",
        "type", "Exception", "BaseException",
    }
)  # fmt: skip
_HARMLESS_BASES = frozenset(
    {
        "object", "Protocol", "Generic", "ABC", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "NamedTuple",
        "TypedDict", "AbstractContextManager", "ContextManager", "Iterator", "Iterable", "Hashable", "Sized",
        "Callable", "str", "int",
    }
)  # fmt: skip
_SYNC_MANAGERS = frozenset(
    {"raises", "warns", "suppress", "catch_warnings", "deprecated_call", "nullcontext", "redirect_stdout"}
)

_REFLECTIVE = frozenset(
    {
        "builtins.__import__", "builtins.eval", "builtins.exec", "builtins.globals", "builtins.locals",
        "importlib.import_module", "importlib.reload", "operator.attrgetter", "operator.methodcaller",
        "runpy.run_module", "runpy.run_path",
    }
)  # fmt: skip

# Foreign functions that only look at what they are given, and neither keep it nor call into it.
_LOOKING = frozenset(
    {
        "isinstance", "issubclass", "id", "hash", "type", "callable", "repr", "str", "print", "hasattr", "bool",
        "len", "super", "vars", "dir", "copy", "assert_type", "reveal_type", "getattr", "setattr", "delattr",
    }
)  # fmt: skip


def base_name(name: str) -> str:
    """Give the last part of a dotted name."""
    return name.rpartition(".")[2]


def is_mapping(name: str) -> bool:
    return base_name(name) in _MAPPINGS


def is_iterable_of_first(name: str) -> bool:
    """Tell whether iterating gives the first type argument."""
    return base_name(name) in _FIRST or is_mapping(name)


def is_class_name(name: str) -> bool:
    """Tell whether calling the foreign name makes an instance of a class of that name."""
    last = base_name(name)
    if name.startswith("builtins."):
        return isinstance(getattr(builtins, last, None), type)
    return last.lstrip("_")[:1].isupper() or last in ("deque", "defaultdict", "partial", "array")


def is_innocent(name: str) -> bool:
    """Tell whether nothing of the project's can come out of a foreign instance without type arguments."""
    if name == "?":
        return True
    module, _, last = name.rpartition(".")
    if module == "builtins":
        return last in _SCALARS or last.endswith(("Error", "Warning", "Exception"))
    return name not in _HOLDERS and module.partition(".")[0] in _INNOCENT_MODULES


def is_harmless_base(name: str) -> bool:
    """Tell whether a foreign base class never calls the methods of its subclasses, or only dunders we rename."""
    last = base_name(name)
    return last in _HARMLESS_BASES or last.endswith(("Error", "Exception", "Warning"))


def hides_names(name: str) -> bool:
    """Tell whether a foreign callable gives whatever a string names."""
    return name in _REFLECTIVE


def shows_members(name: str) -> bool:
    """Tell whether a foreign callable gives the members of what it is given, under whatever names."""
    return name in ("builtins.vars", "builtins.object.__getattribute__") or name.startswith("inspect.get")


def is_sync_manager(name: str) -> bool:
    return base_name(name) in _SYNC_MANAGERS


def calls_later(name: str) -> bool:
    """Tell whether a foreign callable may keep or call a function it is given."""
    return base_name(name) not in _LOOKING
