"""What callers pass, checked before anything is sent."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from ctxmgr import ArgumentError, ArgumentTypeError, Client, Context, ContextBinding, NotFoundError, SyncFailed
from ctxmgr.arguments import SyncRequest, binding_filter, context_id_of, positive, thread_executor
from ctxmgr.completion import Budget, Target
from tests.support.scripted import ScriptedServer


async def waits(ok: bool) -> None:
    """An async function as callback."""


class Waits:
    async def __call__(self, ok: bool) -> None:
        """An object that is called as an async function is."""

    async def method(self, ok: bool) -> None:
        """A method that is one."""


def checked(**given: Any) -> SyncRequest:
    usual: dict[str, Any] = {
        "session_id": "s-1",
        "context": None,
        "path": None,
        "mode": None,
        "callback": None,
        "max_retries": 150,
        "retry_interval": 1500,
        "async_callbacks": False,
    }
    return SyncRequest.checked(**usual | given)


class TestSyncRequest:
    def test_without_arguments_it_uploads_every_binding(self) -> None:
        assert checked() == SyncRequest(Target("upload"), Budget(150, 1500), {"SessionId": "s-1"})

    def test_a_binding_is_named_by_context_and_path(self) -> None:
        request = checked(context="SdkCtx-1", path="/data")
        assert request.target == Target("upload", "SdkCtx-1", "/data")
        assert request.parameters == {"SessionId": "s-1", "ContextId": "SdkCtx-1", "Path": "/data"}

    def test_a_context_stands_for_its_id(self) -> None:
        assert checked(context=Context(id="SdkCtx-1"), path="/data") == checked(context="SdkCtx-1", path="/data")

    @pytest.mark.parametrize("mode", ["upload", "download"])
    def test_a_mode_that_is_given_is_sent(self, mode: str) -> None:
        request = checked(mode=mode)
        assert (request.target.task_type, request.parameters["Mode"]) == (mode, mode)

    @pytest.mark.parametrize("mode", ["", "Upload", "both", 1])
    def test_another_mode_is_refused(self, mode: object) -> None:
        with pytest.raises(ArgumentError, match=r"^mode is .*; it must be 'upload', 'download' or None$"):
            checked(mode=mode)

    @pytest.mark.parametrize("callback", [True, "print", 0])
    def test_a_callback_that_cannot_be_called_is_refused(self, callback: object) -> None:
        with pytest.raises(ArgumentTypeError, match=r"^callback is .*, which can't be called$"):
            checked(callback=callback)

    @pytest.mark.parametrize("callback", [waits, partial(waits), Waits(), partial(Waits()), Waits().method])
    def test_an_async_callback_is_refused_where_nothing_would_await_it(self, callback: object) -> None:
        with pytest.raises(ArgumentTypeError, match=r"an async function, which nothing would await here: pass a plain"):
            checked(callback=callback)
        assert checked(callback=callback, async_callbacks=True) == checked()

    @pytest.mark.parametrize("value", [0, -1])
    def test_fewer_than_one_poll_is_refused(self, value: int) -> None:
        with pytest.raises(ArgumentError, match=rf"^max_retries is {value}; it must be at least 1$"):
            checked(max_retries=value)

    @pytest.mark.parametrize("value", [1.5, "150", True, None])
    def test_a_number_of_polls_that_is_not_whole_is_refused(self, value: object) -> None:
        with pytest.raises(ArgumentTypeError, match=r"^max_retries is .*; it must be a whole number$"):
            checked(max_retries=value)

    @pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf")])
    def test_an_impossible_interval_is_refused(self, value: float) -> None:
        with pytest.raises(ArgumentError, match=r"^retry_interval is .* that is not negative$"):
            checked(retry_interval=value)

    @pytest.mark.parametrize("value", [86_400_001, 1e300, 10**400, 10**5000], ids=lambda _: "")
    def test_an_interval_of_more_than_a_day_is_refused(self, value: float) -> None:
        with pytest.raises(ArgumentError, match=r"^retry_interval is .*; it must be at most 86400000 milliseconds$"):
            checked(retry_interval=value)

    @pytest.mark.parametrize("value", [2**31, 10**400, 10**5000], ids=lambda _: "")
    def test_polls_beyond_all_sense_are_refused(self, value: int) -> None:
        with pytest.raises(ArgumentError, match=r"^max_retries is .*; it must be at most 2147483647$"):
            checked(max_retries=value)

    def test_the_longest_budget_is_still_a_number_of_seconds(self) -> None:
        assert checked(max_retries=2**31 - 1, retry_interval=86_400_000).budget.limit < float("inf")

    @pytest.mark.parametrize("value", ["1500", True, None])
    def test_an_interval_that_is_no_number_is_refused(self, value: object) -> None:
        with pytest.raises(ArgumentTypeError, match=r"^retry_interval is .*; it must be a number of milliseconds$"):
            checked(retry_interval=value)

    @pytest.mark.parametrize("value", [0, 0.5, 1500])
    def test_an_interval_may_be_a_fraction_or_nothing(self, value: float) -> None:
        assert checked(retry_interval=value).budget.retry_interval == value


class TestAContextWithoutItsPath:
    ELSEWHERE = ContextBinding(context_id="SdkCtx-2", context_name="other", path="/other")

    def test_means_where_the_session_binds_it(self) -> None:
        found = checked(context="SdkCtx-1", mode="download")
        assert found.needs_path
        bindings = [self.ELSEWHERE, ContextBinding(context_id="SdkCtx-1", path="/data")]
        assert found.bound(bindings) == checked(context="SdkCtx-1", path="/data", mode="download")

    def test_is_refused_where_that_is_nowhere(self) -> None:
        with pytest.raises(NotFoundError, match=r"not bind the context 'SdkCtx-1': it binds 'SdkCtx-2' at '/other'$"):
            checked(context="SdkCtx-1").bound([self.ELSEWHERE])

    def test_is_told_apart_from_a_name(self) -> None:
        with pytest.raises(NotFoundError) as refused:
            checked(context="other").bound([self.ELSEWHERE])
        assert refused.value.message.endswith(
            "'other' looks like a name, and ids look like SdkCtx-…: get it by client.contexts.get('other').context.id"
        )

    def test_is_refused_where_there_are_several(self) -> None:
        bindings = [ContextBinding(context_id="SdkCtx-1", path=path) for path in ("/a", "/b")]
        with pytest.raises(SyncFailed) as refused:
            checked(context="SdkCtx-1").bound(bindings)
        assert str(refused.value) == (
            "[Sync.Ambiguous] the context 'SdkCtx-1' is bound at '/a' and '/b': "
            "give path= too, or leave out both to sync all"
        )


def test_the_blocking_package_sends_nothing_for_an_async_callback(server: ScriptedServer) -> None:
    with Client(api_key="key", endpoint=server.url) as client:
        for callback in (waits, partial(waits), Waits()):
            with pytest.raises(ArgumentTypeError, match="an async function"):
                client.session("s-1").context.sync(callback=callback)
    assert server.requests == []


class TestBindingFilter:
    def test_a_path_alone_is_refused(self) -> None:
        with pytest.raises(ArgumentError, match=r"^path '/data' is given without context_id; give both"):
            binding_filter("s-1", None, "/data")

    def test_a_context_alone_names_its_bindings(self) -> None:
        assert binding_filter("s-1", "SdkCtx-1", None) == {"SessionId": "s-1", "ContextId": "SdkCtx-1"}

    @pytest.mark.parametrize(("context_id", "path", "name"), [("", "/data", "context_id"), ("SdkCtx-1", "", "path")])
    def test_an_empty_text_does_not_mean_everything(self, context_id: str, path: str, name: str) -> None:
        with pytest.raises(ArgumentError, match=f"^{name} is empty; leave it out to mean every bound context$"):
            binding_filter("s-1", context_id, path)

    @pytest.mark.parametrize("value", [7, b"SdkCtx-1"])
    def test_what_is_no_text_is_refused(self, value: Any) -> None:
        with pytest.raises(ArgumentTypeError, match=r"^context_id is .*; it must be a Context, a string or None$"):
            binding_filter("s-1", value, "/data")


class TestContextIdOf:
    @pytest.mark.parametrize("context", [Context(id="SdkCtx-1"), "SdkCtx-1"])
    def test_a_context_is_named_by_itself_or_its_id(self, context: Context | str) -> None:
        assert context_id_of(context) == "SdkCtx-1"

    @pytest.mark.parametrize("context", ["", None, 7, {"Id": "SdkCtx-1"}])
    def test_anything_else_is_refused(self, context: Any) -> None:
        with pytest.raises(ArgumentTypeError, match=r"is neither a Context nor the id of one$"):
            context_id_of(context)


class TestPositive:
    def test_one_will_do(self) -> None:
        assert positive("max_results", 1) == 1

    def test_the_name_and_the_value_are_told(self) -> None:
        with pytest.raises(ArgumentError, match=r"^max_results is 0; it must be at least 1$"):
            positive("max_results", 0)

    @pytest.mark.parametrize("value", [-(10**5000), 10**5000], ids=lambda _: "")
    def test_one_that_can_not_be_written_is_refused_all_the_same(self, value: int) -> None:
        with pytest.raises(ArgumentError, match=r"^max_results is a number of more than 30 digits; it must be at "):
            positive("max_results", value)


class TestThreadExecutor:
    def test_one_of_threads_will_do(self) -> None:
        executor = ThreadPoolExecutor(1)
        assert thread_executor(executor) is executor

    @pytest.mark.parametrize("executor", [7, ProcessPoolExecutor(1)])
    def test_anything_else_is_refused(self, executor: Any) -> None:
        with pytest.raises(ArgumentTypeError, match=r"it must be a concurrent\.futures\.Executor that runs threads$"):
            thread_executor(executor)
