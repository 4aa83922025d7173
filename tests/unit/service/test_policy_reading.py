"""What of a binding's policy is honoured, accepted, and refused."""

from __future__ import annotations

import json

import pytest

from ctxmgr.errors import ServiceError
from ctxmgr.service.policy import Policy, read_policy

DEFAULTS = {
    "uploadPolicy": {"autoUpload": True, "uploadStrategy": "UploadBeforeResourceRelease", "uploadMode": "File"},
    "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
    "deletePolicy": {"syncLocalFile": True},
    "extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": False},
    "recyclePolicy": {"lifecycle": "Lifecycle_Forever", "paths": [""]},
    "bwList": {"whiteLists": [{"path": "", "excludePaths": []}]},
    "mappingPolicy": None,
}


@pytest.mark.parametrize("value", [None, "", "{}", "null", {}, json.dumps(DEFAULTS), DEFAULTS])
def test_the_defaults_are_accepted_in_every_spelling(value: object) -> None:
    policy, _ = read_policy(value, "/data")
    assert policy == Policy(auto_upload=True, auto_download=True, sync_local_file=True)


def test_what_is_implemented_is_honoured() -> None:
    document = {
        "uploadPolicy": {"autoUpload": False},
        "downloadPolicy": {"autoDownload": False},
        "deletePolicy": {"syncLocalFile": False},
    }
    policy, _ = read_policy(json.dumps(document), "/data")
    assert policy == Policy(auto_upload=False, auto_download=False, sync_local_file=False)


def test_unknown_keys_are_kept() -> None:
    text = '{"future": {"a": 1}, "uploadPolicy": {"alsoNew": 2}}'
    assert read_policy(text, "/data")[1] == text


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("uploadPolicy", {"uploadMode": "Archive"}),
        ("uploadPolicy", {"uploadStrategy": "Sometimes"}),
        ("downloadPolicy", {"downloadStrategy": "DownloadSync"}),
        ("extractPolicy", {"extract": True, "extractToCurrentFolder": True}),
        ("extractPolicy", {"deleteSrcFile": False}),
        ("recyclePolicy", {"lifecycle": "Lifecycle_1Day", "paths": [""]}),
        ("bwList", {"whiteLists": [{"path": "/src", "excludePaths": []}]}),
        ("bwList", {"whiteLists": [{"path": "", "excludePaths": ["node_modules"]}]}),
        ("mappingPolicy", {"path": "c:\\users"}),
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
    ],
)
def test_what_is_no_policy_is_refused(value: object) -> None:
    with pytest.raises(ServiceError) as refused:
        read_policy(value, "/data")
    assert refused.value.code == "InvalidParameter.Malformed"
