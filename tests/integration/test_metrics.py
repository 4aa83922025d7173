"""What Prometheus reads of a service, and the alerts that come with it, as Prometheus' own tool sees both."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from ctxmgr.service import ContextService
from ctxmgr.service.catalog.errors import CatalogError
from ctxmgr.service.catalog.schema import tasks
from ctxmgr.service.http import HttpServer
from ctxmgr.service.http.lastuploads import LastUploads
from ctxmgr.service.http.metrics import Metrics
from ctxmgr.service.tasks.health import LastUpload
from tests.support.promtool import promtool

from .asking import Asker

pytestmark = pytest.mark.slow

GAUGE = "ctxmgr_context_last_proven_sync_timestamp_seconds"
EXAMPLES = Path(__file__).parents[2] / "examples" / "prometheus"
NAMES = ("project", 'a "quoted" \\ name', "名前")


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    path = promtool(tmp_path_factory.mktemp("promtool"))

    def run(*arguments: str, given: bytes = b"") -> str:
        ran = subprocess.run([path, *arguments], input=given, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return (ran.stdout + ran.stderr).decode()

    return run


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ContextService]:
    """A service with contexts that were uploaded to."""
    service = ContextService.open(tmp_path / "data")
    with HttpServer(service) as server, Asker(server.address, service.keys.create("test", "local")[1]) as asker:
        for name in NAMES:
            binding = {"ContextId": asker.context(name), "Path": "/"}
            session = asker.data("CreateMcpSession", PersistenceDataList=[binding])["SessionId"]
            (task,) = asker.data("SyncContext", SessionId=session, Mode="upload")["TaskIds"]
            assert asker.wait(session, task)["status"] == "Success"
    yield service
    service.close()


def scraped(service: ContextService, contexts: int) -> bytes:
    with HttpServer(service, metrics_contexts=contexts) as server:
        answer = requests.get(f"{server.address}/metrics", timeout=30)
    assert answer.status_code == 200
    return answer.content


def told(text: bytes) -> list[str]:
    samples = [each for family in text_string_to_metric_families(text.decode()) for each in family.samples]
    return [each.labels["context"] for each in samples if each.name == GAUGE]


def test_a_task_that_ended_while_the_catalog_was_away_is_counted_when_it_is_back(
    service: ContextService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service._runtime.catalog.read() as connection:
        uploaded = connection.execute(select(tasks.c.id).where(tasks.c.mode == "upload")).scalars().all()
    metrics = Metrics(service, lambda: 0)
    for task_id in uploaded:
        metrics.ended(task_id)

    def away(task_id: str) -> NoReturn:
        raise CatalogError("ServiceUnavailable.NoCatalog", "the catalog can't be reached")

    counted = b'ctxmgr_tasks_ended_total{mode="upload",status="Success"} %.1f' % len(uploaded)
    with monkeypatch.context() as patch:
        patch.setattr(service, "outcome", away)
        assert b"ctxmgr_tasks_ended_total{" not in metrics.text()
    assert counted in metrics.text()
    assert counted in metrics.text()


def test_contexts_are_told_of_by_name_where_that_is_asked_for(service: ContextService) -> None:
    assert told(scraped(service, 10)) == list(NAMES)
    assert told(scraped(service, 2)) == list(NAMES[:2])
    assert GAUGE not in scraped(service, 0).decode()


def test_prometheus_finds_nothing_to_mend_in_the_metrics(service: ContextService, tool: Callable[..., str]) -> None:
    assert tool("check", "metrics", given=scraped(service, 10)) == ""


def test_the_example_alerts_do_what_they_say(tool: Callable[..., str], tmp_path: Path) -> None:
    rules, tests = (shutil.copy(EXAMPLES / f"ctxmgr.rules{suffix}.yml", tmp_path) for suffix in ("", ".test"))
    assert "3 rules found" in tool("check", "rules", str(rules))
    assert "SUCCESS" in tool("test", "rules", str(tests))


def test_the_example_alerts_ask_for_what_there_is(service: ContextService) -> None:
    asked = set(re.findall(r"ctxmgr_\w+", (EXAMPLES / "ctxmgr.rules.yml").read_text()))
    assert GAUGE in asked
    assert asked <= set(re.findall(r"^# TYPE (\w+)", scraped(service, 10).decode(), re.MULTILINE))


def test_the_catalog_is_asked_once_in_a_while_and_what_it_said_stays_when_it_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("ctxmgr.service.http.lastuploads.monotonic", lambda: now)
    answers: list[list[LastUpload]] = [[LastUpload("local", "second", 2.0)], [LastUpload("local", "first", 1.0)]]
    collector = LastUploads(lambda: answers.pop())

    def values() -> list[float]:
        return [sample.value for family in collector.collect() for sample in family.samples]

    assert (values(), values()) == ([1.0], [1.0])
    now = 5.0
    assert values() == [2.0]
    now = 10.0
    assert values() == [2.0]
    assert "can't look up" in caplog.text
