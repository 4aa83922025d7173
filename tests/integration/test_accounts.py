"""Two accounts in one service: with a key of one, nothing of the other's can be seen, used, changed or told apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests

from ctxmgr.service import ContextService
from ctxmgr.service.http import HttpServer

from .asking import Asker
from .every_action import REQUESTS, asked, filled

SECRET = b"what only the owner may read"


@attrs.frozen
class Owner:
    """An account with something to lose, and what it is called by."""

    asker: Asker
    values: Mapping[str, str]
    root: Path

    def state(self) -> dict[str, Any]:
        """Return all that the account has."""
        context, session = self.values["context"], self.values["session"]
        told: dict[str, Any] = {
            "contexts": self.asker.data("ListContexts"),
            "files": self.asker.data("DescribeContextFiles", ContextId=context, Recursive="true"),
            "revisions": self.asker.data("ListRevisions", ContextId=context),
            "sessions": self.asker.data("ListSession"),
            "detail": self.asker.data("GetSessionDetail", SessionId=session),
            "bindings": self.asker.data("DescribeSessionContexts", SessionId=session),
            "labels": self.asker.data("GetLabel", SessionId=session),
            "tasks": [
                self.asker.data("GetContextInfo", SessionId=session),
                self.asker.data("GetContextInfo", ContextId=context),
            ],
        }
        told["directory"] = {str(path): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        return told


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContextService]:
    service = ContextService.open(tmp_path_factory.mktemp("accounts") / "data", roots={})
    yield service
    service.close()


@pytest.fixture(scope="module")
def endpoint(service: ContextService) -> Iterator[str]:
    with HttpServer(service, host="127.0.0.1", port=0) as server:
        yield server.address


@pytest.fixture(scope="module")
def owner(service: ContextService, endpoint: str) -> Iterator[Owner]:
    _, key = service.keys.create("owner", "owner")
    with Asker(endpoint, key) as asker:
        context, session = asker.context("owned"), ""
        binding = {"ContextId": context, "Path": "/"}
        made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Labels={"whose": "the owner's"})
        session, root = made["SessionId"], Path(made["Root"])
        asker.wait(session, made["TaskIds"][0])
        (root / "secret").write_bytes(SECRET)
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        assert asker.wait(session, task)["status"] == "Success"
        proof = ".ctxmgr-tmp-0123456789abcdef"
        (root / proof).write_text("0123456789abcdef" * 2)
        values = {"context": context, "session": session, "path": "/secret", "name": "owned", "task": task}
        values |= {"root": str(root), "proof": proof}
        yield Owner(asker, values, root)


@pytest.fixture(scope="module")
def intruder(service: ContextService, endpoint: str) -> Iterator[Asker]:
    _, key = service.keys.create("intruder", "intruder")
    with Asker(endpoint, key) as asker:
        yield asker


@pytest.fixture
def own(intruder: Asker) -> Iterator[dict[str, str]]:
    """What the intruder may use."""
    session = intruder.session()
    root = intruder.data("GetSession", SessionId=session)["Root"]
    yield {
        "context": intruder.context(),
        "session": session,
        "path": "/secret",
        "name": "project",
        "task": "t-1",
        "root": root,
        "proof": ".ctxmgr-tmp-fedcba9876543210",
    }
    intruder.data("DeleteSessionAsync", SessionId=session, Force="true")


def guessed(values: Mapping[str, str]) -> dict[str, str]:
    """Return ids of the same form that nobody has."""
    return {
        name: value[:-6] + "zzzzzz" if name in ("context", "session", "task") else value
        for name, value in {**values, "name": "nobodys"}.items()
    }


def told(asker: Asker, action: str, template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return an answer without what differs from request to request, and with names for the values that were sent."""
    answer = asker.ask(action, **filled(template, values))
    text = json.dumps({**answer, "RequestId": ""})
    for name, value in values.items():
        if name != "path":
            text = text.replace(value, f"<{name}>")
    return dict(json.loads(text))


def mixtures(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[dict[str, str]]:
    """Return all ways to ask for what is theirs, in part or wholly."""
    parts = [("context",), ("session",), ("task",), ("name",), ("context", "session"), tuple(theirs)]
    return [{**mine, **{name: theirs[name] for name in part}} for part in parts]


@pytest.mark.parametrize(("action", "template"), list(asked()))
def test_nothing_of_another_account_is_revealed_or_touched(
    intruder: Asker, owner: Owner, own: dict[str, str], action: str, template: Mapping[str, Any]
) -> None:
    before = owner.state()
    for values in mixtures(own, owner.values):
        used = {name for name in own if values[name] != own[name] and f'"{{{name}}}"' in json.dumps(template)}
        if not used - {"path"}:
            continue
        of_nobody = guessed({name: owner.values[name] for name in used})
        answer = told(intruder, action, template, values)
        assert answer == told(intruder, action, template, {**values, **of_nobody}), "what exists can be told apart"
        assert answer["Success"] is False or not entries_of(answer)
    assert owner.state() == before


def entries_of(answer: Mapping[str, Any]) -> Any:
    data = answer.get("Data")
    return data["ContextStatus"] if isinstance(data, dict) and "ContextStatus" in data else data


def test_every_action_is_tried() -> None:
    from ctxmgr.service.api.registry import ACTIONS

    assert set(REQUESTS) == set(ACTIONS)


def test_lists_hold_only_what_is_ones_own(intruder: Asker, owner: Owner, own: dict[str, str]) -> None:
    assert [item["Id"] for item in intruder.data("ListContexts")] == [own["context"]]
    assert intruder.ask("ListContexts")["TotalCount"] == 1
    assert owner.values["session"] not in [item["SessionId"] for item in intruder.data("ListSession")]
    assert intruder.data("ListSession", Labels={"whose": "the owner's"}) == []


def test_a_page_token_of_another_account_leads_to_nothing_of_its(intruder: Asker, owner: Owner) -> None:
    owner.asker.context("second")
    token = owner.asker.ask("ListContexts", MaxResults=1)["NextToken"]
    assert token
    listed = {item["Id"] for item in intruder.data("ListContexts", NextToken=token)}
    assert listed <= {intruder.context()}
    owner.asker.data("DeleteContext", Id=owner.asker.context("second"))


def test_a_name_that_another_account_uses_is_free(intruder: Asker, owner: Owner) -> None:
    context = intruder.context("owned")
    assert context != owner.values["context"]
    assert intruder.data("DescribeContextFiles", ContextId=context) == []
    intruder.data("DeleteContext", Id=context)


def test_another_accounts_directory_can_not_be_a_root(intruder: Asker, owner: Owner) -> None:
    for root in (owner.root, owner.root.parent, owner.root.parent.parent, Path("/"), owner.root / "missing"):
        answer = intruder.ask("CreateMcpSession", Root=str(root))
        assert answer["Code"] == "Forbidden.Root", answer


def test_a_link_in_ones_own_directory_does_not_lead_to_anothers(
    intruder: Asker, owner: Owner, own: dict[str, str]
) -> None:
    root = Path(intruder.data("GetSession", SessionId=own["session"])["Root"])
    (root / "link").symlink_to(owner.root)
    (task,) = intruder.data("SyncContext", SessionId=own["session"])["TaskIds"]
    assert intruder.wait(own["session"], task)["status"] == "Success"
    files = intruder.data("DescribeContextFiles", ContextId=own["context"], Recursive="true")
    assert [(item["FilePath"], item["FileType"]) for item in files] == [("/link", "link")]
    answer = intruder.ask("GetContextFileDownloadUrl", ContextId=own["context"], FilePath="/link/secret")
    assert answer["Code"] == "InvalidFile.NotFound"


class TestUrls:
    @pytest.fixture
    def urls(self, owner: Owner, intruder: Asker) -> dict[str, str]:
        put = intruder.data("GetContextFileUploadUrl", ContextId=intruder.context(), FilePath="/mine")["Url"]
        requests.put(put, data=b"mine", timeout=30).raise_for_status()
        get = intruder.data("GetContextFileDownloadUrl", ContextId=intruder.context(), FilePath="/mine")["Url"]
        theirs = owner.asker.data(
            "GetContextFileDownloadUrl", ContextId=owner.values["context"], FilePath=owner.values["path"]
        )["Url"]
        assert requests.get(theirs, timeout=30).content == SECRET
        return {"put": put, "get": get, "theirs": theirs}

    def test_a_url_for_ones_own_file_can_not_be_made_one_for_anothers(
        self, owner: Owner, intruder: Asker, urls: dict[str, str]
    ) -> None:
        before = owner.state()
        for mine in (urls["put"], urls["get"]):
            base, _, token = mine.rpartition("/")
            grant, _, seal = token.partition(".")
            raw = base64.urlsafe_b64decode(grant + "=" * (-len(grant) % 4))
            forged = raw.replace(intruder.context().encode(), owner.values["context"].encode()).replace(
                b"intruder", b"owner"
            )
            assert forged != raw
            sealed = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
            theirs = urls["theirs"].rpartition("/")[2].partition(".")[0]
            for made in (f"{sealed}.{seal}", f"{theirs}.{seal}", sealed, f"{sealed}.", f"{grant}.{seal[:-4]}AAAA"):
                for answer in (
                    requests.get(f"{base}/{made}", timeout=30),
                    requests.put(f"{base}/{made}", data=b"forged", timeout=30),
                ):
                    assert (answer.status_code, answer.json()["Code"]) == (403, "ForbiddenUrl.Invalid")
                    assert SECRET not in answer.content
        assert owner.state() == before

    def test_no_changed_character_leaves_a_url_good(self, urls: dict[str, str]) -> None:
        base, _, token = urls["get"].rpartition("/")
        with requests.Session() as http:
            for at in range(0, len(token) - 1, 3):
                changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
                assert http.get(f"{base}/{changed}", timeout=30).status_code == 403

    def test_a_url_is_worth_nothing_once_the_context_is_gone(self, intruder: Asker) -> None:
        context = intruder.context("short-lived")
        url = intruder.data("GetContextFileUploadUrl", ContextId=context, FilePath="/file")["Url"]
        intruder.data("DeleteContext", Id=context)
        answer = requests.put(url, data=b"late", timeout=30)
        assert (answer.status_code, answer.json()["Code"]) == (404, "InvalidContext.NotFound")


def test_what_needs_no_key_tells_of_no_account(owner: Owner, endpoint: str) -> None:
    shown = requests.get(f"{endpoint}/metrics", timeout=30).text + requests.get(f"{endpoint}/healthz", timeout=30).text
    for secret in (*owner.values.values(), "owner", str(owner.root)):
        assert secret not in shown
