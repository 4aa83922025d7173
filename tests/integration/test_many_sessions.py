"""64 sessions sync 500 files each while the server is killed: no result is untrue, and no context is torn."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest

from ctxmgr import Client, CtxmgrError, Session
from ctxmgr.engine.workspace.locks import held
from ctxmgr.results import ContextSyncResult
from ctxmgr.service.storage.datafolder import DataFolder

from .serving import serving

pytestmark = pytest.mark.slow

KEY = "a-key-of-these-tests-that-nobody-guesses"

SESSIONS = 64
FILES = 500
ENDED_BEFORE_THE_KILL = 8
SAMPLE = 4


@attrs.frozen
class User:
    """Somebody with a session of their own."""

    number: int
    client: Client
    context_id: str
    session: Session
    directory: Path

    def sync(self) -> ContextSyncResult | CtxmgrError:
        try:
            return self.session.context.sync(retry_interval=100, max_retries=2_000)
        except CtxmgrError as error:
            return error

    def held(self) -> dict[str, int]:
        """Return the sizes of the files in the context, by path."""
        found = self.client.files.iter(self.context_id, "/", recursive=True)
        return {file.path: file.size for file in found if file.type == "file"}

    def written(self) -> dict[str, int]:
        files = (path for path in self.directory.rglob("*") if path.is_file())
        return {f"/{path.relative_to(self.directory)}": path.stat().st_size for path in files}


def user(number: int, address: str, folder: Path) -> User:
    client = Client(endpoint=address, api_key=KEY)
    directory = folder / f"user {number}"
    for part in range(10):
        (directory / f"part {part}").mkdir(parents=True)
        for at in range(FILES // 10):
            (directory / f"part {part}" / f"file {at}").write_bytes(content(number, part, at))
    context = client.contexts.get(f"user {number}", create=True).raise_for_error().context
    assert context is not None
    made = client.sessions.create(server_root=directory, bind={"/": context}).raise_for_error()
    assert made.session is not None
    return User(number, client, context.id, made.session, directory)


def content(number: int, part: int, at: int) -> bytes:
    return f"{number} {part} {at} ".encode() * (1 + (number + part + at) % 20)


@pytest.mark.timeout(300)
def test_a_kill_in_the_middle_makes_no_result_untrue_and_no_context_torn(tmp_path: Path) -> None:
    roots, data = tmp_path / "roots", tmp_path / "data"
    roots.mkdir()
    ended = threading.Semaphore(0)

    def sync(user: User) -> ContextSyncResult | CtxmgrError:
        result = user.sync()
        ended.release()
        return result

    with ThreadPoolExecutor(SESSIONS) as pool:
        with serving(data, "--root", roots, CTXMGR_API_KEY=KEY) as first:
            users = list(pool.map(lambda number: user(number, first.address, roots), range(SESSIONS)))
            # However fast the others are, this one is under way at the kill.
            lock = DataFolder.open(data).workspace_lock(str(users[0].directory.resolve()))
            with held(lock, lambda: None):
                syncs = [pool.submit(sync, user) for user in users]
                for _ in range(ENDED_BEFORE_THE_KILL):
                    assert ended.acquire(timeout=120), "no sync ended"
                first.end(signal.SIGKILL)
                assert not syncs[0].done()

        with serving(data, "--root", roots, port=urlsplit(first.address).port or 0, CTXMGR_API_KEY=KEY) as second:
            assert second.address == first.address
            results = [sync.result() for sync in syncs]
            for one, result in zip(users, results, strict=True):
                kept = one.held()
                if isinstance(result, ContextSyncResult) and result.success:
                    assert (kept, result.files) == (one.written(), FILES), f"user {one.number} was told of a success"
                else:
                    assert str(result) if isinstance(result, CtxmgrError) else result.error_message
                    assert kept in ({}, one.written()), f"the context of user {one.number} is torn"

            again = list(pool.map(User.sync, users))
            assert all(isinstance(result, ContextSyncResult) and result.success for result in again), again
            assert all(pool.map(lambda one: one.held() == one.written(), users))

            def restored(one: User) -> bool:
                target = roots / f"restored {one.number}"
                target.mkdir()
                one.client.sessions.create(server_root=target, bind={"/": one.context_id}).raise_for_error()
                return all(
                    (target / path.relative_to(one.directory)).read_bytes() == path.read_bytes()
                    for path in one.directory.rglob("*")
                    if path.is_file()
                )

            # Those whose sync the kill met are the last ones that were queued.
            assert all(pool.map(restored, [*users[:SAMPLE], *users[-SAMPLE:]]))
            for one in users:
                one.client.close()
