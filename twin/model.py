"""What the generator knows about a program: the types its expressions can have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .program import Class, Function, Module

__all__ = [
    "ANYTHING",
    "NEVER",
    "NOTHING",
    "OPAQUE",
    "SELF",
    "TEXT",
    "TRUTH",
    "CallableOf",
    "ClassRef",
    "Either",
    "Foreign",
    "ForeignAttribute",
    "ForeignRef",
    "FunctionRef",
    "Instance",
    "ModuleRef",
    "Never",
    "Parent",
    "Type",
    "Unknown",
    "Variable",
    "arms",
    "either",
    "made",
    "options",
]


@dataclass(frozen=True)
class Unknown:
    """Nothing is known: it may be anything, also something that waits."""


@dataclass(frozen=True)
class Never:
    """No value: the type of what can't be, and of a cycle that is being worked out."""


@dataclass(frozen=True)
class Foreign:
    """An instance of a class that is not the project's; nothing on it waits.

    Attributes:
        name: the class's dotted name; ``?`` where only its being foreign is known.
        source: the project's function that returned it: it may be the generator that waits.
    """

    name: str
    args: tuple[Type, ...] = ()
    source: Function | None = None


@dataclass(frozen=True)
class ForeignRef:
    """A name of a foreign module: a function, a class, a module, a constant."""

    name: str


@dataclass(frozen=True)
class ForeignAttribute:
    """An attribute of a foreign instance, usually a method about to be called."""

    receiver: Foreign
    name: str


@dataclass(frozen=True)
class ModuleRef:
    module: Module


@dataclass(frozen=True)
class Instance:
    cls: Class
    args: tuple[Type, ...] = ()


@dataclass(frozen=True)
class ClassRef:
    """A class of the project as a value."""

    cls: Class
    args: tuple[Type, ...] = ()


@dataclass(frozen=True)
class Parent:
    """``super()`` inside a method of a class; ``of_class`` inside a class method."""

    cls: Class
    of_class: bool = False


@dataclass(frozen=True)
class FunctionRef:
    """A function of the project as a value, with what it is bound to."""

    function: Function
    receiver: Type | None = None


@dataclass(frozen=True)
class CallableOf:
    """A callable known by its annotation; ``waits`` where it is one that returns ``Waitable[...]``."""

    result: Type
    waits: bool = False


@dataclass(frozen=True)
class Variable:
    """A type variable; ``Self`` is one."""

    name: str


@dataclass(frozen=True)
class Either:
    """One of several types; made by `either` only."""

    options: tuple[Type, ...]


Type = (
    Unknown
    | Never
    | Foreign
    | ForeignRef
    | ForeignAttribute
    | ModuleRef
    | Instance
    | ClassRef
    | Parent
    | FunctionRef
    | CallableOf
    | Variable
    | Either
)

ANYTHING = Unknown()
NEVER = Never()
NOTHING = Foreign("builtins.None")
SELF = Variable("Self")
# Something foreign that is not known better.
OPAQUE = Foreign("?")
TEXT = Foreign("builtins.str")
TRUTH = Foreign("builtins.bool")


def arms(kind: Type) -> Iterator[Type]:
    """Give the types a value may have, without None and without what can't be."""
    for arm in kind.options if isinstance(kind, Either) else (kind,):
        if arm != NEVER and arm != NOTHING:
            yield arm


def either(kinds: Iterable[Type]) -> Type:
    """Join types into one."""
    options: dict[Type, None] = {}
    for kind in kinds:
        for option in kind.options if isinstance(kind, Either) else (kind,):
            if option != NEVER:
                options[option] = None
    if not options:
        return NEVER
    if len(options) == 1:
        return next(iter(options))
    return Either(tuple(options))


def options(kind: Type) -> tuple[Type, ...]:
    """Give the types a value may have, None included."""
    return kind.options if isinstance(kind, Either) else (kind,)


def made(arm: Type) -> Type:
    """Give what calling a class makes, without knowing the arguments."""
    if isinstance(arm, ClassRef):
        return Instance(arm.cls, arm.args)
    return Foreign(arm.name) if isinstance(arm, ForeignRef) else ANYTHING
