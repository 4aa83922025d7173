"""The version of the catalog's tables, for those too who look at them without SQLAlchemy."""

from __future__ import annotations

from typing import Final

__all__ = ["OLDEST", "SCHEMA"]

SCHEMA: Final = 14
"""The version of the tables; ``migrations`` lead to it from every earlier one."""
OLDEST: Final = 8
"""The lowest version whose programs can still work on these tables."""
