"""What is too large for one message: sent before, in pieces, from where the service has it already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from blake3 import blake3

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError

from .door import Door

__all__ = ["Staging"]

_ROUNDS: Final = 3
_NOT_STAGED: Final = "InvalidStage.NotFound"


class Staging:
    """Sends bytes of any size. Used by several threads at once.

    Args:
        door: the way to the service.
        piece_bytes: what may stand in one message.
    """

    def __init__(self, door: Door, piece_bytes: int) -> None:
        self._door = door
        self._piece_bytes = max(1, min(piece_bytes, nodewire.PIECE_BYTES))

    def is_large(self, data: bytes, room: int = 0) -> bool:
        """Whether data can't stand in a message of which the rest takes some room, in bytes."""
        return bool(data) and len(data) + room > self._piece_bytes

    def deliver(self, data: bytes, send: Callable[[bytes, str], None], *, name: str = "", room: int = 0) -> None:
        """Have data in a message, or sent before it.

        Args:
            send: sends the message, with the data in it, or with none and the name that it was staged under.
            name: the BLAKE3-256 of the data, if it is known.
            room: bytes that the rest of the message takes.

        Raises:
            ServiceError: it is refused, or the service has not got it although it was sent.
        """
        if not self.is_large(data, room):
            send(data, "")
            return
        name = name or blake3(data).hexdigest()
        for rounds in range(1, _ROUNDS + 1):
            self._stage(name, data)
            try:
                send(b"", name)
            except ServiceError as error:
                # What was staged may be gone where the service was started anew, or swept.
                if error.code != _NOT_STAGED or rounds == _ROUNDS:
                    raise
            else:
                return

    def _stage(self, name: str, data: bytes) -> None:
        offset, furthest, idle = 0, 0, 0
        while True:
            piece = data[offset : offset + self._piece_bytes]
            present = self._door.call(nodewire.Stage(name, len(data), offset, piece), nodewire.Staged).present
            if present >= len(data):
                return
            # Not by the piece before: what is lost and sent in turns would go on for ever.
            furthest, idle = (present, 0) if present > furthest else (furthest, idle + 1)
            if idle == _ROUNDS:
                text = f"the service was sent {len(data)} bytes, and has {present} of them whatever is sent"
                raise ServiceError("InternalError.Answer", text)
            offset = max(0, present)
