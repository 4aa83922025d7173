"""What finds the files that a revision added or ended, without a look at all that the context holds."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "10"
down_revision = "9"
OLDEST = 8


def upgrade() -> None:
    for name, column, which in (
        ("files_added", "rev_from", "rev_from > 1"),
        ("files_ended", "rev_to", "rev_to IS NOT NULL"),
    ):
        where = text(which)
        op.create_index(name, "files", ["context_id", column], sqlite_where=where, postgresql_where=where)
