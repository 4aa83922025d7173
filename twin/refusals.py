"""What can't be proven or can't be twinned is refused here: with its place, and with what to do."""

from __future__ import annotations

import ast

from .callrefusals import CallRefusals
from .consumers import ConsumerRefusals
from .definitions import DefinitionRefusals
from .escapes import EscapeRefusals
from .examiner import Examiner
from .flows import FlowRefusals
from .inference import Inference
from .loops import LoopRefusals
from .members import MemberRefusals
from .primitives import primitive_uses
from .problems import Problem
from .program import Module
from .project import Project
from .reflection import ReflectionRefusals
from .waiting import Waits

__all__ = ["refusals"]

_EXAMINERS: tuple[type[Examiner], ...] = (
    CallRefusals,
    ConsumerRefusals,
    DefinitionRefusals,
    EscapeRefusals,
    FlowRefusals,
    LoopRefusals,
    MemberRefusals,
    ReflectionRefusals,
)


def refusals(module: Module, project: Project, inference: Inference, waits: Waits) -> list[Problem]:
    """Give everything in a module that is refused."""
    problems = [*primitive_uses(module, project, inference)]
    for kind in _EXAMINERS:
        examiner = kind(module, project, inference, waits)
        for node in ast.walk(module.tree):
            examiner.examine(node)
        problems += examiner.problems
    return problems
