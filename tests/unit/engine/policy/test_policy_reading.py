"""What of a binding's policy is honoured, accepted, and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ctxmgr.engine.policy.policy import BindingPolicy, Extract, Recycle, read_policy
from ctxmgr.engine.policy.whitelist import Selection, SelectionRule
from ctxmgr.errors import ServiceError

DEFAULTS = {
    "uploadPolicy": {"autoUpload": True, "uploadStrategy": "UploadBeforeResourceRelease", "uploadMode": "File"},
    "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
    "deletePolicy": {"syncLocalFile": True},
    "extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": False},
    "recyclePolicy": {"lifecycle": "Lifecycle_Forever", "paths": [""]},
    "bwList": {"whiteLists": [{"path": "", "excludePaths": []}]},
    "mappingPolicy": None,
}


@pytest.mark.parametrize("value", [None, "", "{}", "null", {}, {"mappingPolicy": None}])
def test_without_a_policy_nothing_is_unpacked_packed_or_left_out(value: object) -> None:
    assert read_policy(value, "/data")[0] == BindingPolicy()


@pytest.mark.parametrize("value", [json.dumps(DEFAULTS), DEFAULTS])
def test_the_defaults_of_other_clients_unpack_and_keep_for_ever(value: object) -> None:
    policy, _ = read_policy(value, "/data")
    assert policy.extract == Extract(delete_source=True, current_folder=False)
    assert policy.recycle == Recycle(None, ("/",))
    assert Selection.of(policy.white_lists, "/data") is None
    assert replace(policy, extract=None, recycle=None, white_lists=()) == BindingPolicy()


def test_what_is_implemented_is_honoured() -> None:
    document = {
        "uploadPolicy": {"autoUpload": False},
        "downloadPolicy": {"autoDownload": False},
        "deletePolicy": {"syncLocalFile": False},
    }
    policy, _ = read_policy(json.dumps(document), "/data")
    assert policy == BindingPolicy(auto_upload=False, auto_download=False, sync_local_file=False)


def test_unknown_keys_are_kept() -> None:
    text = '{"future": {"a": 1}, "uploadPolicy": {"alsoNew": 2}}'
    assert read_policy(text, "/data")[1] == text


def test_every_policy_is_read() -> None:
    document = {
        "uploadPolicy": {"uploadMode": "Archive", "archiveExcludePaths": ["/out/", "x.json", ""]},
        "extractPolicy": {"deleteSrcFile": False, "extractToCurrentFolder": True},
        "recyclePolicy": {"lifecycle": "Lifecycle_3Days", "paths": ["/tmp/cache/", "logs", "c:\\temp"]},
        "bwList": {"whiteLists": [{"path": "/src", "excludePaths": ["a.*"], "isExcludeRegex": True}]},
        "mappingPolicy": {"path": "c:\\users\\me"},
    }
    assert read_policy(document, "/data")[0] == BindingPolicy(
        archive=True,
        archive_excluded=("out/", "x.json"),
        extract=Extract(delete_source=False, current_folder=True),
        recycle=Recycle(3, ("/tmp/cache", "/data/logs", "/c:/temp")),
        white_lists=(SelectionRule("/src", ("a.*",), excluded_is_regex=True),),
        origins=("/c:/users/me",),
    )


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("uploadPolicy", {"uploadMode": "Torrent"}),
        ("uploadPolicy", {"uploadStrategy": "Sometimes"}),
        ("downloadPolicy", {"downloadStrategy": "DownloadSync"}),
    ],
)
def test_what_is_not_implemented_is_refused_and_never_ignored(section: str, value: object) -> None:
    with pytest.raises(ServiceError, match=r"is not supported here") as refused:
        read_policy({section: value}, "/data")
    assert refused.value.code == "UnsupportedPolicy"


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        "{",
        3,
        {"uploadPolicy": []},
        {"uploadPolicy": {"autoUpload": "yes"}},
        {"uploadPolicy": {"uploadMode": 3}},
        {"bwList": {"whiteLists": {}}},
        {"bwList": {"whiteLists": ["/src"]}},
        {"bwList": {"whiteLists": [{"path": "/src", "excludePaths": "a"}]}},
        {"bwList": {"whiteLists": [{"path": "/src", "isPathRegex": "yes"}]}},
        {"bwList": {"whiteLists": [{}] * 201}},
        {"uploadPolicy": {"uploadMode": "Archive", "archiveExcludePaths": ["*.log"]}},
        {"extractPolicy": {"extract": 1}},
        {"recyclePolicy": {"lifecycle": "Lifecycle_7Days"}},
        {"recyclePolicy": {"lifecycle": "Lifecycle_1Day", "paths": ["/tmp/*"]}},
        {"recyclePolicy": {"lifecycle": "Lifecycle_1Day", "paths": ["/tmp/../etc"]}},
        {"recyclePolicy": {"lifecycle": 1}},
    ],
)
def test_what_is_no_policy_is_refused(value: object) -> None:
    with pytest.raises(ServiceError) as refused:
        read_policy(value, "/data")
    assert refused.value.code == "InvalidParameter.Malformed"
