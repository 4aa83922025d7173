"""Prometheus' own tool, which checks metrics and rules: the system's, or one unpacked from Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["promtool"]


def promtool(folder: Path) -> str:
    """Return the tool's path; where the system has none, it is unpacked in a folder."""
    if installed := shutil.which("promtool"):
        return installed
    if shutil.which("apt-get") and (_download(folder) or (os.geteuid() == 0 and _update() and _download(folder))):
        (package,) = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        return str(folder / "usr" / "bin" / "promtool")
    pytest.exit("the tests need promtool: apt-get install prometheus, or put it on the PATH", 1)


def _download(folder: Path) -> bool:
    command = ["apt-get", "download", "-q", "prometheus"]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 0


def _update() -> bool:
    return subprocess.run(["apt-get", "update", "-q"], check=False, capture_output=True).returncode == 0
