"""The state of the inference, and the questions its parts ask each other in circles."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod

from .model import Type
from .program import Function, Module
from .project import Project

__all__ = ["Questions"]


class Questions(ABC):
    """What every part of the inference can ask; each part adds the answers to one kind of question.

    Types are worked out lazily and remembered; a cycle counts as no value until it is left.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[ast.AST, Type] = {}
        self._active: set[object] = set()
        self._cut: set[object] = set()
        self._returns: dict[Function, Type] = {}

    @abstractmethod
    def type_of(self, node: ast.expr, module: Module) -> Type:
        """Give the type of an expression of a module."""

    @abstractmethod
    def attribute(self, owner: Type, name: str) -> Type:
        """Give the type of an attribute of a value."""

    @abstractmethod
    def result_of(self, callee: Type) -> Type:
        """Give what calling a value gives, without knowing the arguments."""

    @abstractmethod
    def declared_return(self, function: Function) -> Type:
        """Give what a function returns, with its type variables as they stand."""

    @abstractmethod
    def returned(self, function: Function, receiver: Type | None, node: ast.Call | None, module: Module | None) -> Type:
        """Give what a function returns for a receiver and a call's arguments."""
