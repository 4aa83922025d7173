"""What finds a page of an account's contexts without sorting all of them."""

from __future__ import annotations

from alembic import op

revision = "11"
down_revision = "10"
OLDEST = 8


def upgrade() -> None:
    op.create_index("contexts_listed", "contexts", ["account", "created_ms", "id"])
