"""What shows a check that the row of a file is what was written."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, LargeBinary

revision = "7"
down_revision = "6"
OLDEST = 6


def upgrade() -> None:
    op.add_column("files", Column("seal", LargeBinary))
