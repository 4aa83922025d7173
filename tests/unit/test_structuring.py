"""Objects made of the protocol's JSON, and what is said of JSON that does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from ctxmgr import Context, ContextFile, PlannedChange, ProtocolError
from ctxmgr.structuring import CreatedSession, PlanData, SessionDetail, structure, structure_list


class TestStructure:
    def test_a_context_is_read_by_its_wire_names(self) -> None:
        wire = {"Id": "SdkCtx-1", "Name": "project", "State": "available", "OsType": "linux", "LastUsedTime": "2025"}
        assert structure(wire, Context) == Context(
            id="SdkCtx-1", name="project", state="available", os_type="linux", last_used_time="2025"
        )

    def test_a_context_without_an_id_is_told_with_its_path(self) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\.Id: it is missing$"):
            structure({"Name": "project"}, Context)

    def test_a_file_is_read_by_its_wire_names(self) -> None:
        wire = {"FileId": "f", "FileName": "a", "FilePath": "/a", "FileType": "file", "Size": "12", "Status": "ok"}
        assert structure(wire, ContextFile) == ContextFile(
            id="f", name="a", path="/a", type="file", size=12, status="ok"
        )

    def test_a_plan_is_read(self) -> None:
        change = {"path": "a", "action": "put", "size": 3, "contextId": "SdkCtx-1", "mount": "/"}
        plan = structure({"Changes": [change], "Unchanged": 2, "Skipped": [["/s", "a socket"]]}, PlanData)
        assert plan == PlanData(
            changes=[PlannedChange(path="a", action="put", size=3, context_id="SdkCtx-1", mount="/")],
            unchanged=2,
            skipped=(("/s", "a socket"),),
        )

    def test_a_fault_deep_in_a_list_is_told_with_its_path(self) -> None:
        change = {"path": "a", "action": "put", "size": 3, "contextId": 7}
        with pytest.raises(ProtocolError, match=r"^Data\.Changes\[0\]\.contextId: expected str, found a number$"):
            structure({"Changes": [change], "Unchanged": 2, "Skipped": []}, PlanData)

    def test_a_created_session_has_an_id_and_maybe_a_root(self) -> None:
        assert structure({"SessionId": "s-1", "Root": None}, CreatedSession) == CreatedSession("s-1", "")

    @pytest.mark.parametrize(
        ("value", "found"), [(None, "missing"), ([], "a list"), ("Status", "a string"), (7, "a number")]
    )
    def test_what_is_no_object_is_refused(self, value: object, found: str) -> None:
        with pytest.raises(ProtocolError, match=f"^Data: expected an object, found {found}$"):
            structure(value, SessionDetail)


class TestStructureList:
    def test_null_is_an_empty_list(self) -> None:
        assert structure_list(None, Context) == []

    @pytest.mark.parametrize("value", [{}, "x", 7])
    def test_anything_else_is_refused(self, value: Any) -> None:
        with pytest.raises(ProtocolError, match=r"^Data is .*, not a list$"):
            structure_list(value, Context)

    def test_the_element_at_fault_is_named(self) -> None:
        with pytest.raises(ProtocolError, match=r"^Data\[1\]\.Name: expected str, found a number$"):
            structure_list([{"Id": "a"}, {"Id": "b", "Name": 7}], Context)
