"""Questions to nodes, and their answers, for services of which one is asked and another hears the node."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String

revision = "13"
down_revision = "12"
OLDEST = 8


def upgrade() -> None:
    op.create_table(
        "questions",
        Column("id", String(64), primary_key=True),
        Column("node_id", String(64), nullable=False),
        Column("asked_ms", BigInteger, nullable=False),
        Column("question", LargeBinary, nullable=False),
        Column("answer", LargeBinary),
    )
