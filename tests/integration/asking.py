"""Asks a service over HTTP as the protocol has it, without any of our own client."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests

PATIENCE = 30.0


class Asker:
    """One key's way to a service."""

    def __init__(self, endpoint: str, key: str) -> None:
        self.endpoint = endpoint
        self.key = key
        self.http = requests.Session()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def ask(self, action: str, **parameters: object) -> dict[str, Any]:
        """Return the envelope, which must come with HTTP 200, or its own status where there is no such action."""
        response = self.http.post(
            f"{self.endpoint}/?Action={action}", data=self.form(**parameters), timeout=(PATIENCE, PATIENCE)
        )
        envelope = dict(response.json())
        none = envelope["Code"] in ("UnsupportedAction", "InvalidAction.NotFound")
        assert response.status_code == (envelope["HttpStatusCode"] if none else 200), response.text
        return envelope

    def data(self, action: str, **parameters: object) -> Any:
        envelope = self.ask(action, **parameters)
        assert envelope["Success"], envelope
        return envelope.get("Data")

    def form(self, **parameters: object) -> dict[str, str]:
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
        return {"Authorization": f"Bearer {self.key}", **texts}

    def context(self, name: str = "project") -> str:
        return str(self.data("GetContext", Name=name, AllowCreate=True)["Id"])

    def session(self, path: str = "/", **parameters: object) -> str:
        binding = {"ContextId": self.context(), "Path": path}
        made = self.data("CreateMcpSession", PersistenceDataList=[binding], **parameters)
        for task in made["TaskIds"]:
            self.wait(made["SessionId"], task)
        return str(made["SessionId"])

    def wait(self, session: str, task: str) -> dict[str, Any]:
        """Wait for a task's end by long polls."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            answer = self.data("GetContextInfo", SessionId=session, TaskIds=[task], WaitMs=10_000)
            (entry,) = entries(answer)
            if entry["status"] in ("Success", "Failed"):
                return entry
        raise AssertionError(f"the task {task} did not end")


class Waiting:
    """A request that is on its way in another thread."""

    def __init__(self, asker: Asker, action: str, **parameters: object) -> None:
        self.envelope: dict[str, Any] = {}
        self.failure: Exception | None = None
        self._asked = (asker.endpoint, asker.key, action, parameters)
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def answer(self) -> dict[str, Any]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "no answer came"
        if self.failure is not None:
            raise self.failure
        return self.envelope

    def _ask(self) -> None:
        endpoint, key, action, parameters = self._asked
        try:
            with Asker(endpoint, key) as asker:
                self.envelope = asker.ask(action, **parameters)
        except Exception as error:
            self.failure = error


def entries(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for item in json.loads(data["ContextStatus"] or "[]") for entry in json.loads(item["data"])]


def connect(endpoint: str) -> socket.socket:
    parts = urlsplit(endpoint)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE)


def exchange(endpoint: str, sent: bytes) -> bytes:
    """Send bytes on a connection of their own, and return all that comes until the server closes it."""
    with connect(endpoint) as connection:
        with suppress(OSError):  # it need not read all of it
            connection.sendall(sent)
        received = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    return received


def envelope_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status and the envelope of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer
    envelope = json.loads(body)
    assert set(envelope) >= {"RequestId", "Success", "Code", "Message", "HttpStatusCode"}
    return int(head.split()[1]), envelope


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread brings about and nothing tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        threading.Event().wait(0.005)
