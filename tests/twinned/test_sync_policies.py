"""Policies as a user of the library gives them, on each of the services and real directories."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from ctxmgr import (
    Binding,
    BWList,
    Client,
    Context,
    ExtractPolicy,
    MappingPolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    WhiteList,
)

from .services import SERVICES, rooted

pytestmark = pytest.mark.parametrize("kept", SERVICES, indirect=True)


def filled(root: Path) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.txt", "inner")
    (root / "src" / "build").mkdir(parents=True)
    (root / "src" / "a.txt").write_text("a")
    (root / "src" / "build" / "b.txt").write_text("b")
    (root / "data.zip").write_bytes(buffer.getvalue())
    return root


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def keep(client: Client, context: Context, root: Path, policy: SyncPolicy | None = None) -> None:
    with client.sessions.create(**rooted(client, root), bind={"/": Binding(context, policy)}).session as session:
        result = session.context.sync()
        assert result.success


ALL = ["data.zip", "src/a.txt", "src/build/b.txt"]


def test_without_a_policy_what_is_restored_is_what_was_kept(local: Client, project: Context, tmp_path: Path) -> None:
    root = filled(tmp_path / "one")
    keep(local, project, root)
    (tmp_path / "two").mkdir()
    keep(local, project, tmp_path / "two")
    assert names(tmp_path / "two") == ALL
    assert (tmp_path / "two" / "data.zip").read_bytes() == (root / "data.zip").read_bytes()


def test_white_lists_archives_and_packs(local: Client, project: Context, tmp_path: Path) -> None:
    packed = SyncPolicy(upload=UploadPolicy(mode=UploadMode.ARCHIVE, archive_exclude_paths=["data.zip"]))
    root = filled(tmp_path / "one")
    keep(local, project, root, packed)
    listed = local.files.list(project, "/src")
    assert [file.name for file in listed.files if file.type == "file"] == [".ctxmgr-pack.tar.zst"]
    (tmp_path / "two").mkdir()
    some = SyncPolicy(
        extract=ExtractPolicy(),
        bw_list=BWList([WhiteList("/src", ["build"]), WhiteList("data.zip"), WhiteList("data")]),
    )
    keep(local, project, tmp_path / "two", some)
    assert names(tmp_path / "two") == ["data/inner.txt", "src/a.txt"]
    (tmp_path / "three").mkdir()
    keep(local, project, tmp_path / "three")
    assert names(tmp_path / "three") == ALL


def test_a_mapping_shows_another_path(local: Client, project: Context, tmp_path: Path) -> None:
    keep(local, project, filled(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    mapped = Binding(project, SyncPolicy(mapping=MappingPolicy("/src")))
    with local.sessions.create(**rooted(local, tmp_path / "two"), bind={"/work": mapped}).session as session:
        assert names(tmp_path / "two") == ["work/a.txt", "work/build/b.txt"]
        bindings = session.context.list_bindings()
        assert SyncPolicy.from_text(bindings.bindings[0].policy) == mapped.policy
