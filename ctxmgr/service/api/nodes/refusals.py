"""What can go wrong in a call of a node, as the refusal that the node understands."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ctxmgr import nodewire
from ctxmgr.engine.manifest.errors import ContentError, HeadMoved
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import ServiceError
from ctxmgr.reasons import reason
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.storage.staging import FULL

__all__ = ["refused"]

logger = logging.getLogger(__name__)

_FULL: Final = frozenset([errno.ENOSPC, errno.EDQUOT])


@contextmanager
def refused(call: str) -> Iterator[None]:
    """Make a ``ServiceError`` of whatever is raised."""
    try:
        yield
    except ServiceError as error:
        if isinstance(error, CatalogError):
            logger.error("the call %s of a node failed: %s", call, error.message)
        raise
    except HeadMoved as error:
        raise ServiceError(nodewire.HEAD_MOVED, "another sync committed first: plan again on what it left") from error
    except TaskInterrupted as error:
        text = "the task has ended, was begun already, or is another node's: stop it"
        raise ServiceError(nodewire.TASK_INTERRUPTED, text) from error
    except nodewire.Garbled as error:
        raise ServiceError("InvalidMessage.Malformed", str(error)) from error
    except (ContentError, OSError) as error:
        cause = error.__cause__ if isinstance(error, ContentError) else error
        code = FULL if isinstance(cause, OSError) and cause.errno in _FULL else nodewire.CONTENT
        raise ServiceError(code, reason(error)) from error
    except Exception as error:
        logger.exception("the call %s of a node failed", call)
        raise ServiceError("InternalError", f"the call {call} failed: {reason(error)}") from error
