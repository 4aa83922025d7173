"""What a sync of a session would do, for whoever asks the service: planned where the directory is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ctxmgr import nodewire
from ctxmgr.engine.manifest.errors import WorkspaceError
from ctxmgr.engine.policy.policy import BindingPolicy, read_policy
from ctxmgr.engine.sync.options import options_of
from ctxmgr.engine.sync.run import Syncs
from ctxmgr.engine.sync.task import TaskInterrupted
from ctxmgr.errors import CtxmgrError, ServiceError
from ctxmgr.nodewire.objects import planned_part
from ctxmgr.reasons import reason

__all__ = ["answer_to"]

_log = logging.getLogger("ctxmgr")

_REST: Final = 1_000
"""Bytes of an answer beside its plan."""


@dataclass(frozen=True)
class _Bound:
    """See the engine's ``Bound``."""

    context_id: str
    mount: str
    path: str
    policy: BindingPolicy


def answer_to(question: nodewire.Question, root: str | None, syncs: Syncs, node_id: str) -> nodewire.QuestionAnswer:
    """Return what a question is answered with.

    Args:
        root: the directory of its session; ``None`` where that is not here.

    Raises:
        TaskInterrupted: the node is being closed.
    """
    try:
        if root is None:
            problem = f"the process that the service asked does not have the directory of {question.session}"
            raise ServiceError("InvalidMcpSession.NotHere", problem)
        planned = [_planned(question, part, root, syncs) for part in question.parts]
        try:
            data = nodewire.pack(planned, most=nodewire.MAX_PLAN)
        except nodewire.Garbled as error:
            raise _too_large() from error
        if len(data) + _REST > nodewire.MAX_BODY:
            raise _too_large()
    except TaskInterrupted:
        raise
    except ServiceError as error:
        return nodewire.QuestionAnswer(node_id, question.id, error.code, error.message)
    except WorkspaceError as error:
        return nodewire.QuestionAnswer(node_id, question.id, "InvalidBinding.Directory", str(error))
    except Exception as error:
        if not isinstance(error, (CtxmgrError, OSError)):
            _log.info("a plan that was asked for failed", exc_info=True)
        return nodewire.QuestionAnswer(node_id, question.id, "InternalError", f"the plan failed: {reason(error)}")
    return nodewire.QuestionAnswer(node_id, question.id, data=data)


def _too_large() -> ServiceError:
    problem = "the plan names more paths than can be told: sync, or ask for a part of the directory"
    return ServiceError("InvalidPlan.TooLarge", problem)


def _planned(question: nodewire.Question, part: nodewire.PlanPart, root: str, syncs: Syncs) -> nodewire.PlannedPart:
    policy, _ = read_policy(part.policy, part.mount)
    bound = _Bound(part.context, part.mount, part.path, policy)
    options = options_of(question.options)
    preview = syncs.preview(root, bound, question.mode, part.path, options=options, discard=question.discard)
    return planned_part(preview)
