"""What a sync was asked to do otherwise than usual: a program that knows nothing of it would do the usual."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

revision = "8"
down_revision = "7"
OLDEST = 8


def upgrade() -> None:
    op.add_column("tasks", Column("options", Text, nullable=False, server_default=""))
