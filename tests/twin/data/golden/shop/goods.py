"""What is sold; nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Parcel"]


@dataclass(frozen=True)
class Parcel:
    """What an order brings."""

    text: str

    def close(self) -> str:
        """Close the lid: another method of the name of one that waits."""
        return self.text
