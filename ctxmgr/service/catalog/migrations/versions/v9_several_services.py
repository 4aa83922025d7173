"""Which data folder a service process works with, and a session's directory is reached from."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

revision = "9"
down_revision = "8"
OLDEST = 8


def upgrade() -> None:
    for table in ("nodes", "sessions"):
        op.add_column(table, Column("home", String(64), nullable=False, server_default=""))
