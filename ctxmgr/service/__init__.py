"""The context service: what keeps contexts, answered through ``ContextService.handle``.

``http`` imports ``contextservice``, that imports ``api``, then ``tasks``, then ``catalog`` and ``storage``; none
imports upwards. Heavy modules are imported when a service is opened, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxmgr._lazy import lazily

__all__ = ["ContextService", "Watch"]

if TYPE_CHECKING:
    from .contextservice import ContextService
    from .tasks.watch import Watch
else:
    __getattr__ = lazily(__name__, {".contextservice": ("ContextService",), ".tasks.watch": ("Watch",)})
