"""What the documentation's tests share with the integration tests: a service over a real socket."""

from __future__ import annotations

from ctxmgr.pytest_plugin import ctxmgr_service

__all__ = ["ctxmgr_service"]
