"""The library's policies: what they send, what they read, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr import (
    ArgumentError,
    Binding,
    BWList,
    DeletePolicy,
    DownloadPolicy,
    ExtractPolicy,
    Lifecycle,
    MappingPolicy,
    RecyclePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    WhiteList,
)
from ctxmgr.engine.policy.policy import DAYS, read_policy

EVERYTHING: dict[str, Any] = {
    "uploadPolicy": {
        "autoUpload": False,
        "uploadStrategy": "UploadBeforeResourceRelease",
        "uploadMode": "Archive",
        "archiveExcludePaths": ["output/", "config.json"],
    },
    "downloadPolicy": {"autoDownload": False, "downloadStrategy": "DownloadAsync"},
    "deletePolicy": {"syncLocalFile": False},
    "extractPolicy": {"extract": True, "deleteSrcFile": False, "extractToCurrentFolder": True},
    "recyclePolicy": {"lifecycle": "Lifecycle_30Days", "paths": ["/tmp/cache"]},
    "bwList": {
        "whiteLists": [{"path": "src.*", "excludePaths": ["a"], "isPathRegex": True, "isExcludeRegex": False}],
    },
    "mappingPolicy": {"path": "c:\\users\\me", "paths": ["/home/me"]},
}
OBJECT = SyncPolicy(
    upload=UploadPolicy(auto_upload=False, mode=UploadMode.ARCHIVE, archive_exclude_paths=["output/", "config.json"]),
    download=DownloadPolicy(auto_download=False),
    delete=DeletePolicy(sync_local_file=False),
    extract=ExtractPolicy(delete_src_file=False, extract_current_folder=True),
    recycle=RecyclePolicy(lifecycle=Lifecycle.LIFECYCLE_30DAYS, paths=["/tmp/cache"]),
    bw_list=BWList([WhiteList("src.*", ["a"], is_path_regex=True)]),
    mapping=MappingPolicy("c:\\users\\me", ["/home/me"]),
)


def test_every_choice_is_sent_and_read() -> None:
    assert OBJECT.wire() == EVERYTHING
    assert SyncPolicy.from_wire(EVERYTHING) == OBJECT
    assert SyncPolicy.from_text(json.dumps(EVERYTHING)) == OBJECT


def test_the_service_takes_what_the_library_sends() -> None:
    read, text = read_policy(Binding("SdkCtx-1", OBJECT).wire("/data")["Policy"], "/data")
    assert (read.archive, read.archive_excluded) == (True, ("output/", "config.json"))
    assert read.origins == ("/c:/users/me", "/home/me")
    assert SyncPolicy.from_text(text) == OBJECT
    assert list(DAYS) == [lifecycle.value for lifecycle in Lifecycle]


def test_what_is_not_chosen_is_not_sent() -> None:
    assert SyncPolicy().wire() == {
        "uploadPolicy": {
            "autoUpload": True,
            "uploadStrategy": "UploadBeforeResourceRelease",
            "uploadMode": "File",
        },
        "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
        "deletePolicy": {"syncLocalFile": True},
    }


@pytest.mark.parametrize("text", ["", "{}", "null", '{"extractPolicy": null, "bwList": null}'])
def test_what_is_absent_has_its_default(text: str) -> None:
    assert SyncPolicy.from_text(text) == SyncPolicy()


KEYS = st.sampled_from(["future", "autoFuture", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
EXTRA = st.dictionaries(KEYS, JSON, max_size=2)


@given(extras=st.lists(EXTRA, min_size=9, max_size=9))
def test_unknown_keys_are_kept_everywhere(extras: list[dict[str, Any]]) -> None:
    document = json.loads(json.dumps(EVERYTHING))
    for part, extra in zip([document, *document.values()], extras, strict=False):
        part.update(extra)
    document["bwList"]["whiteLists"][0].update(extras[-1])
    assert SyncPolicy.from_wire(document).wire() == document


def test_choices_are_taken_by_value_too() -> None:
    assert UploadPolicy(mode="Archive") == UploadPolicy(mode=UploadMode.ARCHIVE)
    assert RecyclePolicy(lifecycle="Lifecycle_1Day").lifecycle is Lifecycle.LIFECYCLE_1DAY
    assert {SyncPolicy(), OBJECT} == {OBJECT, SyncPolicy.from_wire({})}


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (UploadPolicy, {"mode": "Zip"}, "UploadPolicy.mode is 'Zip'; it must be one of 'File', 'Archive'"),
    (UploadPolicy, {"auto_upload": "yes"}, "UploadPolicy.auto_upload is 'yes'; it must be True or False"),
    (UploadPolicy, {"archive_exclude_paths": "logs/"}, "it must be a list of strings"),
    (UploadPolicy, {"archive_exclude_paths": ["*.log"]}, r"has '\*.log'; wildcards"),
    (DownloadPolicy, {"strategy": "DownloadSync"}, "DownloadPolicy.strategy is 'DownloadSync'"),
    (DeletePolicy, {"sync_local_file": 1}, "DeletePolicy.sync_local_file is 1"),
    (ExtractPolicy, {"extract": None}, "ExtractPolicy.extract is None"),
    (RecyclePolicy, {"lifecycle": "Lifecycle_7Days"}, "RecyclePolicy.lifecycle is 'Lifecycle_7Days'"),
    (RecyclePolicy, {"paths": ["/tmp/*"]}, r"RecyclePolicy.paths has '/tmp/\*'; wildcards"),
    (WhiteList, {"path": 3}, "WhiteList.path is 3; it must be a string"),
    (WhiteList, {"path": "*.json"}, "set is_path_regex=True"),
    (WhiteList, {"path": "../a"}, "climb"),
    (WhiteList, {"exclude_paths": ["a?"]}, "set is_exclude_regex=True"),
    (WhiteList, {"path": "a" * 1001, "is_path_regex": True}, "at most 1000 characters"),
    (BWList, {"white_lists": ["src"]}, "it must be a list of WhiteList"),
    (MappingPolicy, {"path": "home/me"}, "give an absolute path"),
    (MappingPolicy, {"path": "c:\\a\\..\\b"}, "climb"),
    (SyncPolicy, {"upload": None}, "SyncPolicy.upload is None; it must be of type UploadPolicy"),
    (SyncPolicy, {"extract": UploadPolicy()}, "SyncPolicy.extract is UploadPolicy"),
]


@pytest.mark.parametrize(("policy", "arguments", "problem"), WRONG)
def test_what_can_not_be_sent_is_refused_with_its_name_and_value(
    policy: Any, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ArgumentError, match=problem):
        policy(**arguments)


@pytest.mark.parametrize("text", ["[]", "3", "{", '{"uploadPolicy": []}', '{"bwList": {"whiteLists": [3]}}'])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="must be"):
        SyncPolicy.from_text(text)
