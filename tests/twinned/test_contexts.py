"""The contexts of an account, on the embedded service."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxmgr import (
    ApiError,
    ArgumentError,
    ArgumentTypeError,
    Client,
    ConflictError,
    Context,
    InvalidRequestError,
    NotFoundError,
)


@pytest.fixture
def filled(local: Client, project: Context, tmp_path: Path) -> Context:
    """A context with files: /a.txt and /deep/b.txt."""
    root = tmp_path / "filled"
    (root / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("one")
    (root / "deep" / "b.txt").write_text("seven..")
    session = local.sessions.create(root=root, bind={"/": project}).session
    result = session.context.sync()
    result.raise_for_error()
    return project


class TestGet:
    def test_a_context_that_is_made_has_an_id_and_its_name(self, local: Client) -> None:
        context = local.contexts.get("project", create=True).context
        assert (context.name, context.id.startswith("SdkCtx-")) == ("project", True)

    def test_making_it_again_finds_the_same(self, local: Client, project: Context) -> None:
        again = local.contexts.create("project").context
        assert again.id == project.id

    def test_it_is_found_by_its_id(self, local: Client, project: Context) -> None:
        found = local.contexts.get(context_id=project.id).context
        assert found.name == "project"

    def test_one_that_is_not_there_is_a_failure(self, local: Client) -> None:
        result = local.contexts.get("nothing")
        assert (result.success, result.error_message.partition("]")[0]) == (False, "[InvalidContext.NotFound")

    def test_asking_for_one_that_is_not_there_raises_why(self, local: Client) -> None:
        result = local.contexts.get("nothing")
        with pytest.raises(NotFoundError, match="nothing"):
            result.context  # noqa: B018  (reading it is the test)

    @pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 256])
    def test_a_name_that_is_none_is_refused(self, local: Client, name: str) -> None:
        result = local.contexts.get(name, create=True)
        with pytest.raises(InvalidRequestError):
            result.raise_for_error()

    def test_a_name_may_be_in_any_language(self, local: Client) -> None:
        made = local.contexts.get("проект 计划", create=True).context
        found = local.contexts.get("проект 计划").context
        assert found.id == made.id

    def test_neither_name_nor_id_is_refused(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="either the name or the context_id"):
            local.contexts.get()

    def test_both_name_and_id_are_refused(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="either the name or the context_id"):
            local.contexts.get("project", context_id="SdkCtx-1")

    def test_an_id_cannot_be_chosen(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="create= goes with a name"):
            local.contexts.get(context_id="SdkCtx-1", create=True)


class TestList:
    def test_an_account_without_contexts_has_an_empty_list(self, local: Client) -> None:
        page = local.contexts.list()
        assert (page.success, page.contexts, page.next_token) == (True, [], "")

    def test_a_page_leads_to_the_next(self, local: Client) -> None:
        for number in range(3):
            local.contexts.create(f"project-{number}")
        first = local.contexts.list(max_results=2)
        second = local.contexts.list(max_results=2, next_token=first.next_token)
        assert (len(first.contexts), len(second.contexts), second.next_token) == (2, 1, "")

    def test_all_are_counted(self, local: Client) -> None:
        for number in range(3):
            local.contexts.create(f"project-{number}")
        page = local.contexts.list(max_results=2)
        assert page.total_count == 3

    def test_going_through_all_turns_the_pages(self, local: Client) -> None:
        for number in range(103):
            local.contexts.create(f"project-{number:03}")
        names = set()
        for context in local.contexts.iter():
            names.add(context.name)
        assert names == {f"project-{number:03}" for number in range(103)}

    def test_an_empty_page_cannot_be_asked_for(self, local: Client) -> None:
        with pytest.raises(ArgumentError, match="max_results is 0"):
            local.contexts.list(max_results=0)


class TestRename:
    def test_it_is_found_by_its_new_name(self, local: Client, project: Context) -> None:
        local.contexts.rename(project, "renamed")
        found = local.contexts.get("renamed").context
        assert found.id == project.id

    def test_a_name_that_is_taken_is_a_conflict(self, local: Client, project: Context) -> None:
        local.contexts.create("taken")
        result = local.contexts.rename(project, "taken")
        with pytest.raises(ConflictError):
            result.raise_for_error()


class TestDelete:
    def test_it_is_gone(self, local: Client, project: Context) -> None:
        deleted = local.contexts.delete(project.id)
        found = local.contexts.get("project")
        assert (deleted.success, found.success) == (True, False)

    def test_one_that_is_not_there_is_a_failure(self, local: Client) -> None:
        result = local.contexts.delete("SdkCtx-nothing")
        with pytest.raises(NotFoundError):
            result.raise_for_error()

    def test_what_is_no_context_is_refused(self, local: Client) -> None:
        with pytest.raises(ArgumentTypeError, match="is neither a Context nor the id of one"):
            local.contexts.delete(7)  # type: ignore[arg-type]  # that is the point


class TestFiles:
    def test_a_folder_lists_its_own(self, local: Client, filled: Context) -> None:
        page = local.files.list(filled)
        assert [(file.path, file.type) for file in page.files] == [("/a.txt", "file"), ("/deep", "folder")]

    def test_a_file_has_its_name_and_size(self, local: Client, filled: Context) -> None:
        page = local.files.list(filled, "/deep")
        assert [(file.name, file.size) for file in page.files] == [("b.txt", 7)]

    def test_going_through_all_goes_into_folders(self, local: Client, filled: Context) -> None:
        paths = []
        for file in local.files.iter(filled):
            if file.type == "file":
                paths.append(file.path)
        assert sorted(paths) == ["/a.txt", "/deep/b.txt"]

    def test_a_page_leads_to_the_next(self, local: Client, filled: Context) -> None:
        first = local.files.list(filled, recursive=True, max_results=1)
        second = local.files.list(filled, recursive=True, max_results=1, next_token=first.next_token)
        assert first.files[0].path < second.files[0].path

    def test_the_files_of_one_that_is_not_there_are_a_failure(self, local: Client) -> None:
        result = local.files.list("SdkCtx-nothing")
        assert (result.success, result.files) == (False, [])

    def test_going_through_those_raises(self, local: Client) -> None:
        files = local.files.iter("SdkCtx-nothing")
        with pytest.raises(ApiError):
            [file.path for file in files]
