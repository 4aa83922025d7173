"""Directories that are kept by processes elsewhere, the leases of those, and what lies where in a pack."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String, Text

revision = "5"
down_revision = "4"
OLDEST = 4


def upgrade() -> None:
    for column in (
        Column("node_id", String(64), nullable=False, server_default=""),
        Column("node_root", Text, nullable=False, server_default=""),
        Column("node_seen_ms", BigInteger, nullable=False, server_default="0"),
        Column("linger_ms", BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("sessions", column)
    op.add_column("nodes", Column("account", String(64), nullable=False, server_default=""))
    op.add_column("nodes", Column("lease_until_ms", BigInteger, nullable=False, server_default="0"))
    op.create_index("chunks_at", "chunks", ["account", "pack_id", "offset"])
