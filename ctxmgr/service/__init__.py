"""The context service: what keeps contexts, answered through ``ContextService.handle``.

``http`` imports ``contextservice``, that imports ``api``, then ``tasks``, then ``catalog`` and ``storage``; none
imports upwards. Heavy modules are imported when a service is opened, not before.
"""

from __future__ import annotations

from .contextservice import ContextService
from .tasks.watch import Watch

__all__ = ["ContextService", "Watch"]
