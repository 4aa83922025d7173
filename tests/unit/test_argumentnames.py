"""Errors of the service, told to a program: they name its arguments, and leave alone what they quote."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxmgr import Client
from ctxmgr.argumentnames import naming_arguments


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("the parameter ContextId is 'Path', and must be", "the argument context_id is 'Path', and must be"),
        ("the parameter Path is missing: send it", "the argument path is missing: send it"),
        ("the parameters Name and ContextId are missing", "the arguments name and context_id are missing"),
        ("the parameter PersistenceDataList.Path is 'a'", "the argument bind.path is 'a'"),
        ("the parameter Policy.uploadPolicy.uploadMode is 3", "the argument policy.upload.mode is 3"),
        (
            "the parameter Policy.bwList.whiteLists.excludePaths",
            "the argument policy.bw_list.white_lists.exclude_paths",
        ),
        ("the parameter a name in Labels is ''", "the argument a name in labels is ''"),
        ("the parameter Labels['Path'] is 7", "the argument labels['Path'] is 7"),
        ("there is no context 'the parameter Path'", "there is no context 'the parameter Path'"),
        ("", ""),
    ],
)
def test_the_parameter_at_the_beginning_becomes_the_argument(told: str, read: str) -> None:
    assert naming_arguments(told) == read


def test_a_program_reads_of_its_own_arguments(tmp_path: Path) -> None:
    with Client.local(tmp_path / "data") as client:
        context = client.contexts.create("project").context
        session = client.sessions.create(bind={"/": context}).session
        refusals = [
            client.contexts.get("").error_message,
            client.files.list(context, "relative").error_message,
            client.files.stat(context, "relative").error_message,
            client.files.delete(context, "relative").error_message,
            client.contexts.list(next_token="x").error_message,
            client.sessions.create(root=tmp_path / "missing").error_message,
            session.context.bind({}).error_message,
            session.context.bind({"/../a": context}).error_message,
            session.set_labels({"": "x"}).error_message,
        ]
    begun = "[InvalidParameter."
    assert [refusal.partition("] ")[2].split(" is ")[0].split(" are ")[0] for refusal in refusals] == [
        "the arguments name and context_id",
        "the argument parent",
        "the argument path",
        "the argument path",
        "the argument next_token",
        "the argument root",
        "the argument bind has no bindings: send at least one",
        "the argument bind.path",
        "the argument a name in labels",
    ]
    assert all(refusal.startswith(begun) for refusal in refusals)
