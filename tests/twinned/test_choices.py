"""What one sync, or a binding's policy, chooses: what is left out, who wins a conflict, and how much may be deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ctxmgr import (
    ArgumentError,
    ArgumentTypeError,
    Binding,
    Client,
    ConflictChoice,
    Context,
    ContextManager,
    SyncFailed,
    SyncPolicy,
)
from ctxmgr.arguments import SyncMode
from ctxmgr.engine.content import throttle
from ctxmgr.engine.content.throttle import TokenBucket
from tests.support.answers import entry, listed, ok, refused, started
from tests.support.scripted import ScriptedServer

from .called import Called
from .services import SERVICES, rooted
from .test_conflicts import at, fetched, fill, held, parted

COPY = re.compile(r"f\.conflict-[A-Za-z0-9-]+-[0-9]{8}T[0-9]{4}")


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestConflict:
    @pytest.mark.parametrize("conflict", ["ours", ConflictChoice.OURS])
    def test_ours_keeps_the_directorys_version_in_a_download(
        self, local: Client, project: Context, tmp_path: Path, conflict: ConflictChoice | str
    ) -> None:
        two = parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same")
        result = two.context.sync(mode="download", conflict=conflict)
        (told,) = result.conflicts
        assert (result.success, told.winner, told.revision, told.copy) == (True, "local", 2, "")
        assert held(tmp_path / "two") == {"f": "of two", "g": "same"}
        assert fetched(local, told, tmp_path / "lost") == "of one"

    def test_theirs_keeps_the_contexts_version_in_an_upload(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        two = parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same", new="new")
        result = two.context.sync(conflict="theirs")
        (told,) = result.conflicts
        assert (result.files, told.path, told.winner, told.kind, told.revision) == (1, "f", "context", "file", 0)
        local.files.download(project, "/f", tmp_path / "there").raise_for_error()
        assert (tmp_path / "there").read_text() == "of one"
        assert held(tmp_path / "two") == {"f": "of two", "g": "same", "new": "new"}

    def test_a_download_that_keeps_both_copies_the_local_version_beside_the_other(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        two = parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same")
        (told,) = two.context.sync(mode="download", conflict="keep-both").raise_for_error().conflicts
        assert COPY.fullmatch(told.copy)
        assert held(tmp_path / "two") == {"f": "of one", "g": "same", told.copy: "of two"}
        assert two.context.sync().files == 1
        assert sorted(file.name for file in local.files.list(project).files) == ["f", told.copy, "g"]

    def test_an_upload_that_keeps_both_copies_the_contexts_version_beside_the_other(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        two = parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same")
        (told,) = two.context.sync(conflict="keep-both").raise_for_error().conflicts
        two.context.sync(mode="download").raise_for_error()
        assert held(tmp_path / "two") == {"f": "of two", "g": "same", told.copy: "of one"}

    @pytest.mark.parametrize("mode", ["upload", "download"])
    def test_fail_names_the_conflicts_and_changes_nothing(
        self, local: Client, project: Context, tmp_path: Path, mode: SyncMode
    ) -> None:
        two = parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same", new="new")
        result = two.context.sync(mode=mode, conflict="fail")
        assert result.error_message.startswith("[Sync.Conflict] ")
        assert "have both changed 'f', and nothing was changed" in result.error_message
        assert [(told.path, told.winner) for told in result.conflicts] == [("f", "")]
        assert held(tmp_path / "two") == {"f": "of two", "g": "same", "new": "new"}
        assert sorted(file.name for file in local.files.list(project).files) == ["f", "g"]
        with pytest.raises(SyncFailed, match="have both changed"):
            result.raise_for_error()
        assert two.context.plan(mode=mode, conflict="fail").refusal.startswith("[Sync.Conflict] ")

    def test_a_policy_chooses_for_its_binding_and_one_sync_otherwise(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        parted(local, project, tmp_path)
        fill(tmp_path / "two", f="of two", g="same")
        policy = SyncPolicy(conflict="ours")
        created = local.sessions.create(**rooted(local, tmp_path / "two"), bind={"/": Binding(project, policy)})
        assert [told.winner for told in created.conflicts] == ["local"]
        assert held(tmp_path / "two")["f"] == "of two"
        created.session.context.sync(mode="download", conflict="theirs").raise_for_error()
        assert held(tmp_path / "two")["f"] == "of one"


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestExclude:
    def test_a_sync_leaves_out_what_its_patterns_exclude(self, local: Client, project: Context, tmp_path: Path) -> None:
        session = at(local, project, tmp_path / "one")
        fill(tmp_path / "one", a="a", log="l")
        session.context.sync(exclude=["l*"]).raise_for_error()
        assert [file.name for file in local.files.list(project).files] == ["a"]

    def test_a_policy_does_so_for_every_sync(self, local: Client, project: Context, tmp_path: Path) -> None:
        fill(tmp_path / "one", a="a", log="l")
        bound = Binding(project, SyncPolicy(exclude=["l*"]))
        with local.sessions.create(**rooted(local, tmp_path / "one"), bind={"/": bound}).session as session:
            (binding,) = session.context.list_bindings().bindings
        assert SyncPolicy.from_text(binding.policy).exclude == ("l*",)
        assert [file.name for file in local.files.list(project).files] == ["a"]

    def test_a_plan_says_what_is_left_out_and_why(self, local: Client, project: Context, tmp_path: Path) -> None:
        session = at(local, project, tmp_path / "one")
        fill(tmp_path / "one", **{"a": "a", "log": "l", ".ctxignore": "# logs\nl*\n"})
        plan = session.context.plan(exclude=["a"])
        told = [(each.path, each.pattern, each.source, each.line, each.mount) for each in plan.excluded]
        assert told == [("a", "a", "", 0, "/"), ("log", "l*", ".ctxignore", 2, "/")]
        assert plan.excluded_total == 2


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestMassDelete:
    @pytest.fixture
    def emptied(self, local: Client, project: Context, tmp_path: Path) -> ContextManager:
        """A session whose directory has lost 11 of its 20 files since its last sync."""
        session = at(local, project, tmp_path / "one")
        fill(tmp_path / "one", **{f"f{number}": "x" for number in range(20)})
        session.context.sync().raise_for_error()
        fill(tmp_path / "one", **{f"f{number}": "x" for number in range(9)})
        return session.context

    def test_an_upload_that_would_delete_most_is_refused_and_changes_nothing(
        self, local: Client, project: Context, emptied: ContextManager
    ) -> None:
        result = emptied.sync()
        assert result.error_message.startswith("[Sync.MassDelete] ")
        assert "would delete 11 of the 20 files in the context; nothing was changed" in result.error_message
        assert emptied.plan().refusal.startswith("[Sync.MassDelete] ")
        assert len(local.files.list(project).files) == 20

    def test_it_is_done_where_it_is_allowed(self, local: Client, project: Context, emptied: ContextManager) -> None:
        assert emptied.plan(allow_mass_delete=True).refusal == ""
        assert emptied.sync(allow_mass_delete=True).raise_for_error().deleted == 11
        assert len(local.files.list(project).files) == 9

    def test_a_callback_learns_that_it_was_refused(self, emptied: ContextManager) -> None:
        called = Called()
        emptied.sync(callback=called)
        called.wait()
        assert called.calls == [False]

    def test_a_download_that_would_delete_most_is_refused_too(
        self, local: Client, project: Context, tmp_path: Path, emptied: ContextManager
    ) -> None:
        two = at(local, project, tmp_path / "two")
        two.context.sync(mode="download").raise_for_error()
        emptied.sync(allow_mass_delete=True).raise_for_error()
        result = two.context.sync(mode="download")
        assert "would delete 11 of the 20 files in the directory" in result.error_message
        assert len(held(tmp_path / "two")) == 20
        assert two.context.sync(mode="download", allow_mass_delete=True).raise_for_error().deleted == 11

    def test_half_of_the_files_and_ten_of_them_may_go(self, local: Client, project: Context, tmp_path: Path) -> None:
        session = at(local, project, tmp_path / "one")
        for before, after in ((22, 11), (11, 1)):
            fill(tmp_path / "one", **{f"f{number}": "x" for number in range(before)})
            session.context.sync().raise_for_error()
            fill(tmp_path / "one", **{f"f{number}": "x" for number in range(after)})
            assert session.context.sync().raise_for_error().deleted == before - after

    def test_an_upload_of_an_emptied_directory_is_refused_however_little_it_held(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        session = at(local, project, tmp_path / "one")
        fill(tmp_path / "one", f="f")
        session.context.sync().raise_for_error()
        fill(tmp_path / "one")
        assert "the directory is empty, and the upload would delete 1 of the 1 files" in (
            session.context.sync().error_message
        )
        assert session.context.sync(allow_mass_delete=True).raise_for_error().deleted == 1

    def test_a_download_that_gives_up_local_changes_may_remove_all_of_them(
        self, local: Client, project: Context, tmp_path: Path
    ) -> None:
        session = at(local, project, tmp_path / "one")
        fill(tmp_path / "one", f="f")
        session.context.sync().raise_for_error()
        fill(tmp_path / "one", f="f", **{f"new{number}": "x" for number in range(30)})
        result = session.context.sync(mode="download", discard_local=True).raise_for_error()
        assert (result.deleted, result.conflicts_total) == (30, 30)


@pytest.mark.parametrize("kept", SERVICES, indirect=True)
class TestLimitRate:
    @pytest.mark.parametrize("mode", ["upload", "download"])
    def test_what_moves_is_counted_where_the_directory_is(
        self, local: Client, project: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: SyncMode
    ) -> None:
        counted: list[tuple[int, int]] = []

        class Bucket(TokenBucket):
            def __init__(self, rate: int, check: Callable[[], None]) -> None:
                super().__init__(rate, check)
                self.rate = rate

            def take(self, size: int) -> None:
                counted.append((self.rate, size))

        one, two = at(local, project, tmp_path / "one"), at(local, project, tmp_path / "two")
        fill(tmp_path / "one", f="f" * 1000)
        if mode == "download":
            one.context.sync().raise_for_error()
        monkeypatch.setattr(throttle, "TokenBucket", Bucket)
        session = one if mode == "upload" else two
        session.context.sync(mode=mode, limit_rate=7).raise_for_error()
        ((rate, size),) = counted
        assert rate == 7
        assert size > 0


class TestServersThatDoNotKnow:
    @pytest.mark.parametrize(
        ("choice", "told"),
        [
            ({"exclude": ["*.log"]}, "leave out what patterns exclude"),
            ({"conflict": "newest"}, "let a conflict be decided otherwise"),
            ({"limit_rate": 1}, "limit its rate"),
        ],
    )
    def test_a_sync_is_refused_before_anything_has_begun(
        self, manager: ContextManager, server: ScriptedServer, choice: dict[str, object], told: str
    ) -> None:
        server.script("GetContextInfo", listed())
        result = manager.sync(**choice)  # type: ignore[arg-type]  # each is what sync takes
        assert result.error_message.startswith(f"[Sync.Unsupported] this server does not say that it can {told}")
        assert {request.action for request in server.requests} == {"GetContextInfo"}

    @pytest.mark.parametrize("answer", [listed(), refused("InvalidParameter.Missing")])
    @pytest.mark.parametrize("policy", [SyncPolicy(exclude=["*.log"]), SyncPolicy(conflict="newest")])
    def test_so_is_a_binding_whose_policy_it_might_ignore(
        self, client: Client, server: ScriptedServer, policy: SyncPolicy, answer: dict[str, object]
    ) -> None:
        server.script("GetContextInfo", answer)
        bound = {"/": Binding("SdkCtx-1", policy)}
        for result in (client.sessions.create(bind=bound), client.session("s-1").context.bind(bound)):
            assert result.error_message.startswith("[Sync.Unsupported] this server does not say that it can honour")
        assert {request.action for request in server.requests} == {"GetContextInfo"}

    def test_the_guard_need_not_be_understood(self, manager: ContextManager, server: ScriptedServer) -> None:
        server.script("GetContextInfo", listed(), listed(entry(task_id="t-1")))
        server.script("SyncContext", started("t-1"))
        assert manager.sync().success
        assert server.asked("SyncContext")[0].parameters["GuardDeletes"] == "true"
        server.script("GetContextInfo", listed(entry(task_id="t-1")))
        manager.sync(allow_mass_delete=True)
        assert "GuardDeletes" not in server.asked("SyncContext")[1].parameters

    def test_a_server_that_knows_them_is_told_all(self, manager: ContextManager, server: ScriptedServer) -> None:
        known = ["Exclude", "Conflict", "LimitRate"]
        server.script("GetContextInfo", ok({"ContextStatus": "", "Extensions": known}), listed(entry(task_id="t-1")))
        server.script("SyncContext", started("t-1"))
        assert manager.sync(exclude=["a", "b"], conflict="keep-both", limit_rate=1024).success
        asked = server.asked("SyncContext")[0].parameters
        assert (asked["Exclude"], asked["Conflict"], asked["LimitRate"]) == ('["a", "b"]', "keep-both", "1024")


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"exclude": "*.log"}, ArgumentTypeError, "exclude is '[*].log'; it must be a list of strings"),
        ({"conflict": "mine"}, ArgumentError, "conflict is 'mine'; it must be one of 'newest', 'ours', 'theirs'"),
        ({"allow_mass_delete": 1}, ArgumentTypeError, "allow_mass_delete is 1; it must be True or False"),
        ({"limit_rate": 0}, ArgumentError, "limit_rate is 0; it must be at least 1"),
        ({"mode": "download", "discard_local": True, "conflict": "ours"}, ArgumentError, "leave out conflict"),
    ],
)
def test_choices_that_can_not_be_used_are_refused_before_anything_is_sent(
    manager: ContextManager, server: ScriptedServer, given: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        manager.sync(**given)  # type: ignore[arg-type]  # as an untyped caller might
    assert server.requests == []
