"""What a commit of a node brings, gone through more than once."""

from __future__ import annotations

from io import BytesIO

import pytest

from ctxmgr.engine.manifest.entries import DIRECTORY, Entry
from ctxmgr.engine.sync.changeset import RowChange
from ctxmgr.nodewire import Garbled, pack_blocks
from ctxmgr.nodewire.objects import blocks_of
from ctxmgr.service.api.nodes.rowblocks import Blocks


def packed(mode: int) -> bytes:
    change = RowChange("/", {b"%d" % number: Entry(DIRECTORY, mode) for number in range(5)}, [], ())
    return b"".join(pack_blocks(blocks_of([change])))


def test_a_file_that_is_written_to_between_two_passes_is_refused_at_the_second() -> None:
    file = BytesIO(packed(0o755))
    blocks = Blocks(file)
    assert len(list(blocks)) == len(list(blocks)) == 1
    file.seek(0)
    file.write(packed(0o700))
    with pytest.raises(Garbled, match="since they were checked"):
        list(blocks)
