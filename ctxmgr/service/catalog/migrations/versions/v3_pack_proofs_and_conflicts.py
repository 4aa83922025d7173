"""The stamps of packs that were found whole, and what a task says of local changes and of conflicts."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, String, Text, false

revision = "3"
down_revision = "2"
OLDEST = 1


def upgrade() -> None:
    op.create_table(
        "pack_proofs",
        Column("pack_id", String(64), primary_key=True),
        Column("size", BigInteger, nullable=False),
        Column("changed_ns", BigInteger, nullable=False),
    )
    for column in (
        Column("discard", Boolean, nullable=False, server_default=false()),
        Column("kept_local", BigInteger, nullable=False, server_default="0"),
        Column("conflicts", Text, nullable=False, server_default="[]"),
        Column("conflicts_total", BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("tasks", column)
