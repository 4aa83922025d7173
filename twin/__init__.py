"""Generates an asyncio package from a blocking one: the reverse of unasync."""

from __future__ import annotations

from .generate import check, generate, prepare, prove
from .project import Problem, Refused
from .settings import PROJECT, Package, Settings, TestTree

__all__ = ["PROJECT", "Package", "Problem", "Refused", "Settings", "TestTree", "check", "generate", "prepare", "prove"]
