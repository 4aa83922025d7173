"""What one sync is asked to do otherwise than its binding's policy says, as ``ContextManager.sync`` takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

from .arguments import SyncMode, positive
from .bounds import MAX_RATE
from .errors import ArgumentError, ArgumentTypeError
from .policies.choices import ConflictChoice
from .policies.fields import chosen, collected

__all__ = ["SyncChoices"]


@attrs.frozen
class SyncChoices:
    """The choices of one sync, checked.

    Attributes:
        parameters: what asks the service for them.
        needed: the names of those that a service would have to understand.
    """

    parameters: dict[str, str]
    needed: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        mode: SyncMode | None,
        *,
        discard_local: bool = False,
        exclude: Iterable[str] = (),
        conflict: ConflictChoice | str | None = None,
        allow_mass_delete: bool = False,
        limit_rate: int | None = None,
    ) -> SyncChoices:
        """Make the choices of ``ContextManager.sync``'s arguments.

        Raises:
            ArgumentError: a value can't be used.
            ArgumentTypeError: a value has the wrong type.
        """
        for name, flag in (("discard_local", discard_local), ("allow_mass_delete", allow_mass_delete)):
            if not isinstance(flag, bool):
                raise ArgumentTypeError(f"{name} is {flag!r}; it must be True or False")
        if discard_local and mode != "download":
            raise ArgumentError(f"discard_local needs mode='download', and mode is {mode!r}: uploads discard nothing")
        if discard_local and conflict is not None:
            raise ArgumentError("discard_local has every conflict won by the context: leave out conflict")
        needed: dict[str, str] = {}
        if discard_local:
            needed["DiscardLocal"] = "true"
        if patterns := _patterns(exclude):
            needed["Exclude"] = json.dumps(patterns)
        if conflict is not None:
            needed["Conflict"] = chosen("conflict", ConflictChoice, conflict).value
        if limit_rate is not None:
            needed["LimitRate"] = str(positive("limit_rate", limit_rate, MAX_RATE))
        # A service that does not know the guard deletes as it always did; so nothing has to be asked for it.
        guard = {} if allow_mass_delete else {"GuardDeletes": "true"}
        return cls(needed | guard, tuple(needed))


def _patterns(exclude: Iterable[str]) -> list[str]:
    patterns = collected(exclude)
    if not isinstance(patterns, tuple) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentTypeError(f"exclude is {exclude!r}; it must be a list of strings")
    return list(patterns)
