"""What says which revisions are kept, which chunks are about to go, and in which packs nothing lies any more.

A program that knows nothing of chunks that are about to go would rely on them: none of an earlier version may run.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String, Text

revision = "6"
down_revision = "5"
OLDEST = 6


def upgrade() -> None:
    op.add_column("contexts", Column("retention", Text, nullable=False, server_default=""))
    op.add_column("revisions", Column("pruned_ms", BigInteger))
    op.add_column("chunks", Column("condemned_ms", BigInteger))
    op.create_table(
        "retired_packs",
        Column("pack_id", String(64), primary_key=True),
        Column("size", BigInteger, nullable=False),
        Column("retired_ms", BigInteger, nullable=False),
    )
    op.drop_index("chunks_at", "chunks")
    op.create_index("chunks_at", "chunks", ["pack_id", "offset"])
