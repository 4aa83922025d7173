"""The context service: an engine without HTTP, answered through ``ContextService.handle``."""

from __future__ import annotations

from .contextservice import ContextService
from .watch import Watch

__all__ = ["ContextService", "Watch"]
