"""The proof that a client and the service mean the same directory, and all that can't be read by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctxmgr.service import ContextService
from ctxmgr.service.api.rootproof import written_proof
from tests.unit.service.servicedoor import Door, Refused, binding, tree

NAME = ".ctxmgr-tmp-0123456789abcdef"
TOKEN = "0123456789abcdef" * 2


@pytest.fixture
def permitted(tmp_path: Path) -> Path:
    permitted = tmp_path / "permitted"
    permitted.mkdir()
    return permitted


@pytest.fixture
def door(tmp_path: Path, permitted: Path) -> Iterator[Door]:
    service = ContextService.open(tmp_path / "data", roots={"local": [str(permitted)]})
    yield Door(service)
    service.close()


def test_a_token_that_is_there_is_told_and_does_not_stay(door: Door, permitted: Path) -> None:
    with written_proof(str(permitted)) as (name, token):
        assert door.data("ProveRoot", Root=str(permitted), Proof=name) == {"Token": token}
    assert door.data("ProveRoot", Root=str(permitted), Proof=name) == {"Token": ""}
    assert tree(permitted) == {}


def test_a_proof_that_was_left_behind_is_not_synced(door: Door, permitted: Path) -> None:
    (permitted / NAME).write_text(TOKEN)
    context = door.context()
    door.sync(door.session(binding(context), Root=str(permitted)))
    assert door.files(context) == []


def test_only_a_root_that_the_account_may_use_can_be_proven(door: Door, tmp_path: Path, permitted: Path) -> None:
    (tmp_path / NAME).write_text(TOKEN)
    (permitted / NAME).write_text(TOKEN)
    (permitted / "out").symlink_to(tmp_path)
    for root in (tmp_path, permitted / "out", permitted / ".."):
        with pytest.raises(Refused, match=r"^\[Forbidden\.Root\]"):
            door.data("ProveRoot", Root=str(root), Proof=NAME)
    with pytest.raises(Refused, match=r"^\[Forbidden\.Root\]"):
        Door(door.service, "another").data("ProveRoot", Root=str(permitted), Proof=NAME)


@pytest.mark.parametrize("name", ["secret", f"../{NAME}", f"sub/{NAME}", f"{NAME}/", NAME[:-1], NAME.upper(), "."])
def test_no_other_name_can_be_asked_for(door: Door, permitted: Path, name: str) -> None:
    with pytest.raises(Refused, match="must be the name of a proof"):
        door.data("ProveRoot", Root=str(permitted), Proof=name)


def test_what_is_no_token_is_not_told(door: Door, permitted: Path, tmp_path: Path) -> None:
    proof, secret = permitted / NAME, tmp_path / "secret"
    secret.write_text(TOKEN)
    for make in (
        lambda: proof.write_text("what only the server may read"),
        lambda: proof.write_text(f"{TOKEN}\n"),
        lambda: proof.write_text(f"{TOKEN}{TOKEN}"),
        lambda: proof.symlink_to(secret),
        lambda: os.mkfifo(proof),
    ):
        make()
        assert door.data("ProveRoot", Root=str(permitted), Proof=NAME) == {"Token": ""}
        proof.unlink()
    proof.mkdir()
    assert door.data("ProveRoot", Root=str(permitted), Proof=NAME) == {"Token": ""}
