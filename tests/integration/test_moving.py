"""A service moved by the lines of docs/operations.md, while a directory elsewhere stays in step with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxmgr import Client
from tests.support.servers import Database

from .documented import blocks_under, refusal, run
from .serving import serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"
MOVE, MOVE_BACK = blocks_under("Move to other places")


def test_a_service_moves_and_moves_back_and_a_directory_stays_in_step(
    empty_database: Database, bucket: str, tmp_path: Path
) -> None:
    data, root = tmp_path / "data", tmp_path / "root"
    root.mkdir()
    (root / "first").write_text("first")

    with serving(data, CTXMGR_API_KEY=KEY) as server:
        port = int(server.address.rpartition(":")[2])
        client = Client(endpoint=server.address, api_key=KEY)
        with client:
            context = client.contexts.create("project").context
            session = client.sessions.create(root, {"/": context}).session
            assert session.context.sync().raise_for_error().revision == 1
            to = {"CTXMGR_TO_CATALOG": empty_database.url, "CTXMGR_TO_STORE": bucket}
            refused = refusal(MOVE, tmp_path, CTXMGR_HOME=str(data), **to)
            assert f"stop pid {server.process.pid} on " in refused
            assert server.end() == 0
            assert "copied and checked: 1 context with 1 revision" in run(MOVE, tmp_path, CTXMGR_HOME=str(data), **to)
            places = {"CTXMGR_CATALOG": empty_database.url, "CTXMGR_STORE": bucket}
            with serving(data, CTXMGR_API_KEY=KEY, port=port, **places) as moved:
                assert session.context.sync().raise_for_error().nothing_to_sync
                (root / "second").write_text("second")
                assert session.context.sync().raise_for_error().revision == 2
                assert moved.end() == 0
            leave = {"CTXMGR_FROM_CATALOG": empty_database.url, "CTXMGR_FROM_STORE": bucket}
            said = run(MOVE_BACK, tmp_path, CTXMGR_HOME=str(data), **leave)
            assert "copied and checked: 1 context with 2 revisions" in said
            assert "all is whole: 2 packs" in said
            with serving(Path(f"{data}-moved"), CTXMGR_API_KEY=KEY, port=port):
                assert session.context.sync().raise_for_error().nothing_to_sync
