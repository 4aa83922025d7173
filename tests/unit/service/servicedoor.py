"""A door to a context service for tests: calls an action, and waits for tasks as a client would."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ctxmgr.engine.workspace.locks import held
from ctxmgr.service import ContextService

PATIENCE = 30.0


class Refused(Exception):
    def __init__(self, envelope: Mapping[str, Any]) -> None:
        super().__init__(f"[{envelope['Code']}] {envelope['Message']}")
        self.code: str = envelope["Code"]
        self.message: str = envelope["Message"]


class Door:
    """Speaks to a service as one account."""

    def __init__(self, service: ContextService, account: str = "local") -> None:
        self.service = service
        self.account = account

    def answer(self, action: str, **parameters: object) -> dict[str, Any]:
        """The whole envelope of a successful answer; everything but text is sent as JSON."""
        envelope = self.service.handle(action, encoded(parameters), account=self.account)
        json.dumps(envelope)
        if not envelope["Success"]:
            raise Refused(envelope)
        return envelope

    def data(self, action: str, **parameters: object) -> Any:
        return self.answer(action, **parameters).get("Data")

    def context(self, name: str = "project") -> str:
        return str(self.data("GetContext", Name=name, AllowCreate=True)["Id"])

    def session(self, *bindings: Mapping[str, object], **parameters: object) -> str:
        """Create a session, and wait for its downloads."""
        made = self.data("CreateMcpSession", PersistenceDataList=list(bindings), **parameters)
        self.wait(made["SessionId"], made["TaskIds"])
        return str(made["SessionId"])

    def root(self, session_id: str) -> Path:
        return Path(self.data("GetSession", SessionId=session_id)["Root"])

    def sync(self, session_id: str, mode: str = "upload", **parameters: object) -> list[dict[str, Any]]:
        ids = self.data("SyncContext", SessionId=session_id, Mode=mode, **parameters)["TaskIds"]
        return self.wait(session_id, ids)

    def info(self, session_id: str, **parameters: object) -> list[dict[str, Any]]:
        status = self.data("GetContextInfo", SessionId=session_id, **parameters)["ContextStatus"]
        return [entry for item in json.loads(status or "[]") for entry in json.loads(item["data"])]

    def wait(self, session_id: str, ids: list[str]) -> list[dict[str, Any]]:
        """Wait for tasks by long polls, and return their entries."""
        remaining = list(ids)
        while remaining:
            parameters = {"SessionId": session_id, "TaskIds": remaining, "WaitMs": 30_000}
            assert self.park(**parameters), f"no task of {remaining} ended: {self.info(session_id)}"
            ended = {entry["taskId"] for entry in self.info(session_id) if entry["finishTime"]}
            ended |= {entry["taskId"] for entry in self.info(session_id, TaskIds=ids) if entry["finishTime"]}
            remaining = [task_id for task_id in remaining if task_id not in ended]
        return self.info(session_id, TaskIds=ids) if ids else []

    def park(self, **parameters: object) -> bool:
        """Wait as GetContextInfo asks to; False when the time was over before there was anything to tell."""
        watch = self.service.watch("GetContextInfo", encoded(parameters), account=self.account)
        if watch is None:
            return True  # what is asked of has ended meanwhile
        called = threading.Event()
        unsubscribe = watch.subscribe(called.set)
        try:
            while not watch.ready():
                if not called.wait(watch.poll or min(watch.timeout, PATIENCE)) and watch.poll is None:
                    return watch.ready()
                called.clear()
        finally:
            unsubscribe()
        return True

    def delete_session(self, session_id: str) -> dict[str, Any]:
        """Delete a session, wait until that is decided, and return its detail."""
        self.data("DeleteSessionAsync", SessionId=session_id)
        detail = self.data("GetSessionDetail", SessionId=session_id)
        while detail["Status"] == "DELETING":
            self.park(SessionId=session_id, WaitMs=30_000)
            detail = self.data("GetSessionDetail", SessionId=session_id)
        return dict(detail)

    def files(self, context_id: str, folder: str = "/") -> list[str]:
        """The paths of a context's files and folders below one."""
        found = self.data(
            "DescribeContextFiles", ContextId=context_id, ParentFolderPath=folder, Recursive=True, PageSize=1000
        )
        return [file["FilePath"] for file in found]


def busy(door: Door, root: Path) -> AbstractContextManager[None]:
    """Make syncs of a directory wait, as one that takes long would."""
    return held(door.service._runtime.folder.workspace_lock(str(root)), lambda: None)


def encoded(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}


def binding(context_id: str, path: str = "/", /, **policy: object) -> dict[str, object]:
    return {"ContextId": context_id, "Path": path, "Policy": json.dumps(policy)}


def fill(folder: Path, files: Mapping[str, str]) -> None:
    """Make a directory hold exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in tree(folder):
        if path not in files:
            (folder / path).unlink()
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text() != content:
            file.write_text(content)


def tree(folder: Path) -> dict[str, str]:
    """What a directory holds: each file's text by its relative path."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent) / name
            found[str(file.relative_to(folder))] = file.read_text()
    return found
