"""What the tests of the service share."""

from __future__ import annotations

from tests.support.keeping import _template as _template
from tests.support.keeping import bucket, database, elsewhere, empty_database, postgresql_server, seaweed_server

__all__ = ["bucket", "database", "elsewhere", "empty_database", "postgresql_server", "seaweed_server"]
