"""Pruning: the revisions that end, what stays of the others, and the room that is given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from sqlalchemy import select

from ctxmgr.engine.content.packs import seal
from ctxmgr.errors import ServiceError
from ctxmgr.service import ContextService
from ctxmgr.service.care.packs import repack
from ctxmgr.service.catalog.schema import files, revisions
from tests.support.keeping import Elsewhere
from tests.unit.service.care.stored import noise, packs_kept
from tests.unit.service.servicedoor import Door, Refused, binding, fill, tree


@pytest.fixture
def door(tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", **elsewhere)
    yield Door(service)
    service.close()


@pytest.fixture
def kept(door: Door, tmp_path: Path) -> tuple[str, str]:
    """A context with five revisions, in each of which another file has changed, and its session."""
    context = door.context()
    session = ""
    for number in range(1, 6):
        fill(tmp_path / "w", {"same": "same", "changing": f"version {number}", f"only-{number}": noise()})
        if not session:
            session = door.session(binding(context), Root=str(tmp_path / "w"))
        door.sync(session)
    return context, session


def numbers(door: Door, context: str) -> list[int]:
    return [revision["Revision"] for revision in door.data("ListRevisions", ContextId=context)]


def packed_bytes(door: Door) -> int:
    return sum(pack.size for pack in packs_kept(door.service))


def whole(door: Door) -> None:
    checked = door.data("CheckStore", ReadData=True)
    assert (checked["Damages"], checked["AffectedTotal"]) == ([], 0)


def restored(door: Door, context: str, place: Path) -> dict[str, str]:
    place.mkdir()
    door.session(binding(context), Root=str(place))
    return tree(place)


def test_what_is_kept_is_as_it_was(door: Door, kept: tuple[str, str], tmp_path: Path) -> None:
    context, _ = kept
    before = {number: content(door, context, number) for number in range(1, 6)}
    outcome = door.data("PruneContexts", Retention={"keepLast": 2})
    assert outcome["Contexts"] == [
        {"ContextId": context, "Name": "project", "Kept": [4, 5], "Pruned": [1, 2, 3]},
    ]
    assert numbers(door, context) == [5, 4]
    assert {number: content(door, context, number) for number in (4, 5)} == {4: before[4], 5: before[5]}
    assert restored(door, context, tmp_path / "new") == tree(tmp_path / "w")
    whole(door)


def content(door: Door, context: str, revision: int) -> dict[str, bytes]:
    found = {}
    for path in ("/same", "/changing", *(f"/only-{number}" for number in range(1, 6))):
        with suppress(ServiceError):
            found[path] = b"".join(door.service.read_file(context, path, revision=revision).content)
    return found


def test_a_pruned_revision_is_refused_and_says_what_to_do(door: Door, kept: tuple[str, str]) -> None:
    context, _ = kept
    door.data("PruneContexts", Retention={"keepLast": 2})
    for action, parameters in (
        ("RestoreContext", {"Id": context}),
        ("DescribeContextFile", {"ContextId": context, "FilePath": "/same"}),
    ):
        with pytest.raises(Refused, match="was pruned, and nothing brings it back: list the revisions") as refused:
            door.data(action, Revision=3, **parameters)
        assert refused.value.code == "InvalidRevision.NotFound"
    with pytest.raises(Refused, match="has no revision 6: its latest is 5"):
        door.data("RestoreContext", Id=context, Revision=6)


def test_the_room_of_what_nothing_holds_any_more_is_given_back(
    door: Door, kept: tuple[str, str], tmp_path: Path
) -> None:
    before = packed_bytes(door)
    outcome = door.data("PruneContexts", Retention={"keepLast": 1})
    after = packed_bytes(door)
    assert outcome["FreedBytes"] == before - after
    assert after < before / 2
    assert outcome["WaitingBytes"] == 0
    whole(door)


def test_without_rules_nothing_ends(door: Door, kept: tuple[str, str], tmp_path: Path) -> None:
    before = packed_bytes(door)
    outcome = door.data("PruneContexts")
    assert outcome["Contexts"][0]["Pruned"] == []
    assert numbers(door, kept[0]) == [5, 4, 3, 2, 1]
    assert packed_bytes(door) <= before + 4096, "small packs may be merged"


def test_a_dry_run_only_tells(door: Door, kept: tuple[str, str], tmp_path: Path) -> None:
    before = packed_bytes(door)
    told = door.data("PruneContexts", Retention={"keepLast": 1}, DryRun=True)
    assert told["Contexts"][0]["Pruned"] == [1, 2, 3, 4]
    assert numbers(door, kept[0]) == [5, 4, 3, 2, 1]
    assert packed_bytes(door) == before
    done = door.data("PruneContexts", Retention={"keepLast": 1})
    assert done["FreedBytes"] == pytest.approx(told["WaitingBytes"], rel=0.05)


def test_a_deleted_context_gives_its_room_back(door: Door, kept: tuple[str, str], tmp_path: Path) -> None:
    door.delete_session(kept[1])
    door.data("DeleteContext", Id=kept[0])
    assert door.data("GetStoreStats")["LooseBytes"] > 0
    door.data("PruneContexts")
    assert packed_bytes(door) == 0
    assert door.data("GetStoreStats") == {"Contexts": [], "UniqueBytes": 0, "StoredBytes": 0, "LooseBytes": 0}


def test_a_cleared_context_gives_its_room_back_once_its_history_is_not_kept(
    door: Door, kept: tuple[str, str], tmp_path: Path
) -> None:
    ids = door.data("ClearContext", Id=kept[0])["TaskIds"]
    door.park(ContextId=kept[0], TaskIds=ids, WaitMs=30_000)
    door.data("PruneContexts", Retention={"keepLast": 1})
    assert packed_bytes(door) == 0
    assert numbers(door, kept[0]) == [6]


def test_a_context_of_another_account_is_left_alone(door: Door, kept: tuple[str, str], tmp_path: Path) -> None:
    other = Door(door.service, "other")
    theirs = other.context()
    for text in ("one", "two"):
        with door.service.write_file(theirs, "/file", account="other") as upload:
            upload.write(text.encode())
            upload.finish()
    door.data("PruneContexts", Retention={"keepLast": 1})
    assert numbers(other, theirs) == [2, 1]
    assert b"".join(door.service.read_file(theirs, "/file", revision=1, account="other").content) == b"one"
    with pytest.raises(Refused, match=r"InvalidContext.NotFound"):
        other.data("PruneContexts", ContextIds=[kept[0]], Retention={"keepLast": 1})


def test_only_the_named_contexts_are_pruned(door: Door, kept: tuple[str, str]) -> None:
    other = door.context("other")
    for text in ("one", "two"):
        with door.service.write_file(other, "/file") as upload:
            upload.write(text.encode())
            upload.finish()
    outcome = door.data("PruneContexts", ContextIds=[other], Retention={"keepLast": 1})
    assert [each["Name"] for each in outcome["Contexts"]] == ["other"]
    assert (numbers(door, other), numbers(door, kept[0])) == ([2], [5, 4, 3, 2, 1])


def test_a_retention_that_was_set_is_what_counts_without_rules(door: Door, kept: tuple[str, str]) -> None:
    context, _ = kept
    door.data("SetContextRetention", Id=context, Retention={"keepLast": 3})
    (stats,) = door.data("GetStoreStats")["Contexts"]
    assert stats["Retention"] == {"keepLast": 3}
    door.data("PruneContexts")
    assert numbers(door, context) == [5, 4, 3]
    door.data("SetContextRetention", Id=context, Retention={})
    door.data("PruneContexts")
    assert numbers(door, context) == [5, 4, 3]


@pytest.mark.parametrize("rules", [{"keepLast": -1}, {"keepFirst": 3}, {"keepWithin": "soon"}, {"keepLast": "3"}])
def test_rules_that_are_none_are_refused_and_nothing_ends(
    door: Door, kept: tuple[str, str], rules: dict[str, Any]
) -> None:
    for action in ("PruneContexts", "SetContextRetention"):
        with pytest.raises(Refused, match="Retention") as refused:
            door.data(action, Id=kept[0], Retention=rules)
        assert refused.value.code == "InvalidParameter.Malformed"
    assert numbers(door, kept[0]) == [5, 4, 3, 2, 1]


def test_a_file_tells_when_it_came_although_that_revision_was_pruned(door: Door, kept: tuple[str, str]) -> None:
    context, _ = kept
    before = door.data("DescribeContextFile", ContextId=context, FilePath="/same")
    door.data("PruneContexts", Retention={"keepLast": 1})
    assert door.data("DescribeContextFile", ContextId=context, FilePath="/same") == before
    assert "/same" in door.files(context)


def test_nothing_is_left_in_the_catalog_of_what_nobody_holds(door: Door, kept: tuple[str, str]) -> None:
    door.data("PruneContexts", Retention={"keepLast": 1})
    with door.service._runtime.catalog.read() as connection:
        paths = connection.execute(select(files.c.path).order_by(files.c.path)).scalars().all()
        rows = connection.execute(select(revisions.c.number, revisions.c.pruned_ms)).all()
    assert paths == [b"/changing", b"/only-5", b"/same"]
    assert [(row.number, row.pruned_ms is not None) for row in sorted(rows)] == [(1, True), (5, False)]


def test_a_workspace_whose_base_was_pruned_still_syncs_right(door: Door, tmp_path: Path) -> None:
    """Its own state says what it had: what others changed comes, what it changed goes, what went stays away."""
    context = door.context()
    fill(tmp_path / "one", {"a": "1", "b": "1", "gone": "1", "mine": "1"})
    one = door.session(binding(context), Root=str(tmp_path / "one"))
    door.sync(one)
    (tmp_path / "two").mkdir()
    two = door.session(binding(context), Root=str(tmp_path / "two"))
    for number in range(2, 5):
        fill(tmp_path / "two", {"a": str(number), "b": "1", "mine": "1", "new": str(number)})
        door.sync(two)
    door.data("PruneContexts", Retention={"keepLast": 1})
    fill(tmp_path / "one", {"a": "1", "b": "mine", "gone": "1", "mine": "1"})
    (task,) = door.sync(one)
    assert (task["status"], task["conflictsTotal"]) == ("Success", 0)
    door.sync(one, "download")
    assert tree(tmp_path / "one") == {"a": "4", "b": "mine", "mine": "1", "new": "4"}
    door.sync(two, "download")
    assert tree(tmp_path / "two") == tree(tmp_path / "one")
    whole(door)


def test_archives_are_unpacked_again_where_their_members_were_given_back(door: Door, tmp_path: Path) -> None:
    """No revision refers to the members of a bundle: they are stored when they are needed."""
    context = door.context()
    fill(tmp_path / "one", {"a": "1" * 50, "d/b": "2" * 50})
    session = door.session(binding(context, "/", uploadPolicy={"uploadMode": "Archive"}), Root=str(tmp_path / "one"))
    door.sync(session)
    for _ in range(2):
        door.data("PruneContexts")
    assert restored(door, context, tmp_path / "two") == {"a": "1" * 50, "d/b": "2" * 50}
    fill(tmp_path / "one", {"a": "changed", "d/b": "2" * 50})
    door.sync(session)
    door.data("PruneContexts", Retention={"keepLast": 1})
    assert restored(door, context, tmp_path / "three") == {"a": "changed", "d/b": "2" * 50}
    whole(door)


def test_packs_are_not_merged_across_accounts_that_have_stored_the_same(door: Door, tmp_path: Path) -> None:
    runtime = door.service._runtime
    mine, others = (runtime.store(account).content for account in ("mine", "others"))
    digests = []
    for content in (b"known to both", b"mine 1", b"mine 2", b"mine 3"):
        digests.append(blake3(content).digest())
        pack = seal([content], [(digests[-1], 0, len(content), len(content))])
        mine.put(pack)
        if content == b"known to both":
            others.put(pack)
    assert repack(runtime.catalog, runtime._packs).packs == 4
    held, known = mine.locate(digests), others.locate(digests)
    assert len({place.pack for place in held.values()}) == 1
    assert list(known) == digests[:1]
    (others_pack,) = (pack for pack in packs_kept(door.service) if pack.name == known[digests[0]].pack)
    assert b"mine" not in bytes(runtime._packs.read(others_pack.name, 0, others_pack.size))
    whole(door)
