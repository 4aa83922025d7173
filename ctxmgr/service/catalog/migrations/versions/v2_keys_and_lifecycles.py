"""API keys, and how long the files of a context stay."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Text

revision = "2"
down_revision = "1"
OLDEST = 1


def upgrade() -> None:
    op.create_table(
        "keys",
        Column("id", String(16), primary_key=True),
        Column("account", String(64), nullable=False),
        Column("name", Text, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("used_ms", BigInteger),
        Column("revoked_ms", BigInteger),
    )
    op.create_table(
        "lifecycles",
        Column("context_id", String(64), primary_key=True),
        Column("path", LargeBinary, primary_key=True),
        Column("days", Integer),
        Column("set_ms", BigInteger, nullable=False),
    )
