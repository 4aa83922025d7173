"""Places that lie together, and so are best read together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from .packs import Located

__all__ = ["runs"]

_READ_SIZE: Final = 8 << 20
# Reading a hole costs less than another request, up to about this many bytes.
_HOLE_SIZE: Final = 64 << 10


def runs(places: Sequence[Located]) -> Iterator[list[Located]]:
    """Cut places in the order of packs and offsets into runs, each worth one read."""
    run: list[Located] = []
    end = 0
    for place in places:
        if run and (
            place.pack != run[0].pack
            or place.offset > end + _HOLE_SIZE
            or place.offset + place.stored > run[0].offset + _READ_SIZE
        ):
            yield run
            run = []
        end = max(end, place.offset + place.stored) if run else place.offset + place.stored
        run.append(place)
    if run:
        yield run
