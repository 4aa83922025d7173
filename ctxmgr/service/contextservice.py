"""The context service as its doors see it: requests in, envelopes out, and nothing heavy imported before it opens."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctxmgr.errors import ServiceError

from .envelope import failure, new_request_id, success
from .parameters import Parameters

if TYPE_CHECKING:
    from .engine import Engine
    from .watch import Watch

__all__ = ["ContextService"]

logger = logging.getLogger(__name__)


class ContextService:
    """A service on one data folder. All its methods can be called from any thread.

    Any number of processes can open the same folder; each has a service of its own, and runs the syncs it is asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, workers: int = 2) -> ContextService:
        """Open a data folder, make it where there is none, and end what a crash left unfinished.

        Args:
            folder: the data folder; ``~`` is the home directory.
            workers: how many syncs run at the same time.

        Raises:
            DataFolderError: the folder holds something else, is of a newer version, or can't be used.
        """
        from .engine import Engine

        return cls(Engine.open(folder, workers=workers))

    def handle(self, action: str, parameters: Mapping[str, str], *, account: str = "local") -> dict[str, Any]:
        """Answer a request at once.

        Args:
            action: the protocol's action, such as ``SyncContext``.
            parameters: its parameters, from query and body alike.
            account: whose request it is; no account sees another's contexts and sessions.

        Returns:
            the whole envelope, also for what is wrong with the request or goes wrong in the service.
        """
        request_id = new_request_id()
        try:
            self._engine.check_open()
            from .actions import ACTIONS

            perform = ACTIONS.get(action)
            if perform is None:
                known = ", ".join(sorted(ACTIONS))
                raise ServiceError("InvalidAction.NotFound", f"there is no action {action!r} here; there are {known}")
            return success(request_id, perform(self._engine, account, Parameters(parameters)))
        except ServiceError as error:
            return failure(request_id, error)
        except Exception as error:
            logger.exception("request %s failed: %s", request_id, action)
            from .reasons import reason

            return failure(request_id, ServiceError("InternalError", f"{action} failed: {reason(error)}"))

    def watch(self, action: str, parameters: Mapping[str, str], *, account: str = "local") -> Watch | None:
        """Tell what a request asks to wait for before it is handled; None when it is to be handled now.

        A request that waits is GetContextInfo with ``WaitMs`` above 0. One that is wrong gives None, since its answer
        says so.
        """
        if action != "GetContextInfo" or not parameters.get("WaitMs"):
            return None
        try:
            self._engine.check_open()
            from .syncactions import watch_context_info

            return watch_context_info(self._engine, account, Parameters(parameters))
        except ServiceError:
            return None
        except Exception:
            logger.exception("can't watch the tasks that a request asks for; it is answered at once")
            return None

    def close(self) -> None:
        """End the service: running syncs get a moment, then they fail as interrupted. Again is allowed."""
        self._engine.close()
