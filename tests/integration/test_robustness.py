"""Whatever is sent, the service answers with its envelope; whatever a file is called, it stays below the root."""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxmgr.testing import Service, serve

from .asking import Asker
from .every_action import REQUESTS, filled

pytestmark = pytest.mark.slow

few = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
numbers = itertools.count()

ENVELOPE = {"RequestId", "Success", "Code", "Message", "HttpStatusCode"}
NAMES = sorted({name for templates in REQUESTS.values() for template in templates for name in template})
NAMES += ["AllowCreate", "FilePaths", "MaxResults", "NextToken", "PageNumber", "PageSize", "Status", "WaitMs", "Root"]
NAMES += ["ContextType", "TaskType", "ImageId"]

NUMBERS = ["0", "-1", "9" * 30, "1e9", "\N{ARABIC-INDIC DIGIT THREE}", "NaN"]
TEXTS = ["", " ", "\0", "\ud800", "\N{COMBINING ACUTE ACCENT}", "x" * 5000, "true", "null", "eyJ9", "WzFd", "WzEsIiJd"]
PATHS = ["/", "//", "/../x", "..", "c:\\x", "/" + "a/" * 2000]
JSON = ["[]", "{}", "[null]", '{"a":{}}', "[" * 5000, '{"\\ud800":"x"}', '["\\ud800"]', "[1e999]"]
BINDINGS = [
    '[{"ContextId":1,"Path":[]}]',
    '[{"ContextId":"x","Path":"/x","Policy":{"bwList":{"whiteLists":[{"path":{}}]}}}]',
    '[{"ContextId":"x","Path":"/x","Policy":"{\\"recyclePolicy\\":{\\"paths\\":[[]]}}"}]',
]
awkward = st.sampled_from([*NUMBERS, *TEXTS, *PATHS, *JSON, *BINDINGS])
values = st.one_of(awkward, st.text(max_size=20), st.sampled_from(["{context}", "{session}", "{task}", "/file"]))


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with serve() as service:
        yield service


@pytest.fixture(scope="module")
def asker(shared: Service) -> Iterator[Asker]:
    with Asker(shared.endpoint, shared.api_key) as asker:
        yield asker


@pytest.fixture(scope="module")
def ids(asker: Asker) -> Mapping[str, str]:
    return {"context": asker.context(), "session": asker.session(), "task": "t-1", "path": "/file", "name": "project"}


def checked(answer: requests.Response) -> dict[str, Any]:
    """Return an answer that is the envelope and no failure of the service."""
    envelope = answer.json()
    assert set(envelope) >= ENVELOPE
    assert envelope["Success"] is (envelope["Code"] == "ok")
    assert envelope["Code"] != "InternalError", envelope
    assert envelope["HttpStatusCode"] < 500
    return dict(envelope)


def encoded(pairs: Mapping[str, str]) -> bytes:
    quoted = {name: quote_from_bytes(value.encode("utf-8", "surrogatepass")) for name, value in pairs.items()}
    return "&".join(f"{name}={value}" for name, value in quoted.items()).encode()


class TestRequests:
    @settings(few, max_examples=250)
    @given(data=st.data(), action=st.sampled_from(sorted(REQUESTS)))
    def test_any_parameters_of_any_action_get_an_envelope(
        self, asker: Asker, ids: Mapping[str, str], data: st.DataObject, action: str
    ) -> None:
        template = data.draw(st.sampled_from(REQUESTS[action]))
        drawn = data.draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=3))
        if "WaitMs" in drawn and drawn["WaitMs"].isdecimal():
            drawn["WaitMs"] = "1"
        # What is shared by all examples is not theirs to delete.
        if action in ("DeleteContext", "DeleteSessionAsync", "ReleaseMcpSession"):
            drawn = {"Id": "none", "SessionId": "none", **drawn}
        sent = {**asker.form(**filled(template, ids)), **filled(drawn, ids)}
        # What is longer would be too much for a URL.
        short = sorted(name for name, value in sent.items() if len(encoded({name: value})) < 2000)
        in_query = data.draw(st.sets(st.sampled_from(short)))
        query = encoded({"Action": action, **{name: sent[name] for name in in_query}})
        form = encoded({name: value for name, value in sent.items() if name not in in_query})
        answer = asker.http.post(
            f"{asker.endpoint}/?{query.decode()}",
            data=form,
            headers={"content-type": "application/x-www-form-urlencoded"},
            timeout=30,
        )
        assert answer.status_code == 200
        checked(answer)

    @settings(few, max_examples=150)
    @given(
        query=st.binary(max_size=60),
        body=st.binary(max_size=200),
        headers=st.dictionaries(
            st.sampled_from(
                ["x-acs-action", "x-acs-version", "content-type", "authorization", "host", "range", "expect"]
            ),
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
            max_size=3,
        ),
    )
    def test_any_bytes_get_an_envelope(
        self, shared: Service, query: bytes, body: bytes, headers: dict[str, str]
    ) -> None:
        text = quote_from_bytes(query, safe="=&;+%?/:@!$'()*,")
        checked(requests.post(f"{shared.endpoint}/?{text}", data=body, headers=headers, timeout=30))

    @settings(few, max_examples=100)
    @given(token=st.binary(max_size=80), method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]))
    def test_any_url_of_a_file_gets_an_envelope(self, shared: Service, token: bytes, method: str) -> None:
        answer = requests.request(method, f"{shared.endpoint}/files/{quote_from_bytes(token)}", data=b"x", timeout=30)
        assert 400 <= answer.status_code < 500
        if method != "HEAD":
            assert checked(answer)["Success"] is False

    def test_it_is_as_well_as_before(self, shared: Service, asker: Asker) -> None:
        assert requests.get(f"{shared.endpoint}/healthz", timeout=30).json()["status"] == "ok"
        assert asker.ask("ListContexts")["Success"]


class Surroundings:
    """A session's root, and what lies around it and must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "above" / "root"
        self.root.mkdir(parents=True)
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_bytes(b"outside")
        self._folder = folder
        self._before = self._listed()

    def check(self) -> None:
        assert self._listed() == self._before
        assert not os.path.lexists("/escaped")

    def _listed(self) -> dict[str, bytes | None]:
        listed: dict[str, bytes | None] = {}
        for folder, folders, files in os.walk(self._folder):
            listed |= {os.path.join(folder, name): None for name in folders}
            listed |= {os.path.join(folder, name): Path(folder, name).read_bytes() for name in files}
            folders[:] = [name for name in folders if Path(folder, name) != self.root]
        return listed


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def around(place: Path) -> Surroundings:
    folder = place / str(next(numbers))
    folder.mkdir()
    return Surroundings(folder)


parts = st.one_of(
    st.sampled_from(["..", ".", "", "a", "A", "b", "outside", "secret", "link", "escaped", "é", "e\u0301", "x" * 255])
    | st.sampled_from([" ", "a\n", "\\..\\escaped", "c:", "~", "-rf", "\udcff", "a" * 256, ".ctxmgr-tmp-x", "con"]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
names = st.lists(parts, min_size=1, max_size=5).map("/".join)
absolute_names = names | names.map("/".__add__) | names.map(lambda name: "../" * 6 + name)


def downloaded(asker: Asker, context: str, root: Path, policy: Mapping[str, Any] | None = None) -> dict[str, Any]:
    binding = {"ContextId": context, "Path": "/", **({"Policy": json.dumps(policy)} if policy else {})}
    made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Root=str(root))
    (task,) = made["TaskIds"]
    return asker.wait(made["SessionId"], task)


def put(asker: Asker, context: str, path: str, content: bytes) -> bool:
    """Put a file if it may be called that."""
    form = encoded(asker.form(ContextId=context, FilePath=path))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    given = asker.http.post(
        f"{asker.endpoint}/?Action=GetContextFileUploadUrl", data=form, headers=headers, timeout=30
    ).json()
    if not given["Success"]:
        assert given["Code"] in ("InvalidParameter.Malformed", "InvalidParameter.Missing"), given
        return False
    answer = requests.put(given["Data"]["Url"], data=content, timeout=30)
    assert answer.status_code in (200, 409), answer.text
    return answer.status_code == 200


class TestNames:
    @settings(few, max_examples=30)
    @given(paths=st.lists(absolute_names, min_size=1, max_size=4))
    def test_no_file_put_by_url_leaves_the_root(self, asker: Asker, place: Path, paths: list[str]) -> None:
        context = asker.context(f"names {next(numbers)}")
        kept = {path for path in paths if put(asker, context, path, b"escaped")}
        surroundings = around(place)
        ended = downloaded(asker, context, surroundings.root)
        surroundings.check()
        assert ended["status"] == "Success", ended
        found = sum(path.is_file() for path in surroundings.root.rglob("*"))
        assert found == len({os.path.normpath(f"/{path.lstrip('/')}") for path in kept})

    @settings(few, max_examples=40)
    @given(path=absolute_names)
    def test_no_mount_path_leaves_the_root(self, asker: Asker, place: Path, path: str) -> None:
        surroundings = around(place)
        (surroundings.root / "link").symlink_to(surroundings.outside)
        context = asker.context("mounted")
        binding = json.dumps([{"ContextId": context, "Path": path}])
        answer = asker.ask("CreateMcpSession", PersistenceDataList=binding, Root=str(surroundings.root))
        if answer["Success"]:
            (task,) = answer["Data"]["TaskIds"]
            asker.wait(answer["Data"]["SessionId"], task)
        else:
            assert answer["Code"] in (
                "InvalidParameter.Malformed",
                "InvalidParameter.Missing",
                "InvalidBinding.Directory",
            ), answer
        surroundings.check()

    @settings(few, max_examples=40)
    @given(
        members=st.lists(st.tuples(absolute_names, st.sampled_from(["file", "link", "hard", "dir"])), max_size=5),
        kind=st.sampled_from([".zip", ".tar", ".tar.gz"]),
        here=st.booleans(),
    )
    def test_no_member_of_an_archive_leaves_the_root(
        self, asker: Asker, place: Path, members: list[tuple[str, str]], kind: str, here: bool
    ) -> None:
        surroundings = around(place)
        content = zipped(members) if kind == ".zip" else tarred(members, kind)
        context = asker.context(f"members {next(numbers)}")
        assert put(asker, context, f"/archive{kind}", content)
        policy = {"extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": here}}
        ended = downloaded(asker, context, surroundings.root, policy)
        surroundings.check()
        assert ended["status"] == "Success" or ended["errorMessage"]
        for path in surroundings.root.rglob("*"):
            assert path.is_symlink() or surroundings.root in path.resolve().parents

    def test_a_link_in_an_archive_leads_no_other_member_out(self, asker: Asker, place: Path) -> None:
        for kind in (".zip", ".tar"):
            surroundings = around(place)
            members = [("way", "link"), ("way/escaped", "file"), ("way/secret", "file")]
            content = zipped(members) if kind == ".zip" else tarred(members, kind, target=str(surroundings.outside))
            context = asker.context(f"members {next(numbers)}")
            assert put(asker, context, f"/archive{kind}", content)
            policy = {"extractPolicy": {"extract": True, "deleteSrcFile": False, "extractToCurrentFolder": True}}
            downloaded(asker, context, surroundings.root, policy)
            surroundings.check()


def zipped(members: list[tuple[str, str]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name twice is what an attacker may well send
        for name, kind in members:
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode()
            info.create_system = 3
            info.external_attr = (0o120777 if kind == "link" else 0o100644) << 16
            archive.writestr(info, "../outside" if kind == "link" else "escaped")
    return buffer.getvalue()


def tarred(members: list[tuple[str, str]], kind: str, target: str = "../outside") -> bytes:
    buffer = io.BytesIO()
    types = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "dir": tarfile.DIRTYPE}
    with tarfile.open(fileobj=buffer, mode="w:gz" if kind.endswith("gz") else "w") as archive:
        for name, member in members:
            info = tarfile.TarInfo(name)
            info.type = types[member]
            info.linkname = target if member == "link" else "../../outside/secret" if member == "hard" else ""
            info.size = 7 if member == "file" else 0
            archive.addfile(info, io.BytesIO(b"escaped"))
    return buffer.getvalue()


class Swapping:
    """Makes a directory a link to the outside and back, as fast as it can."""

    def __init__(self, directory: Path, outside: Path) -> None:
        self._directory, self._outside = directory, outside
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._swap)
        self.swaps = 0

    def __enter__(self) -> Swapping:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _swap(self) -> None:
        aside, link = self._directory.with_name("aside"), self._directory.with_name("link")
        while not self._over.is_set():
            try:
                if self._directory.is_symlink():
                    self._directory.unlink()
                    aside.rename(self._directory)
                else:
                    link.symlink_to(self._outside)
                    self._directory.rename(aside)
                    link.rename(self._directory)
                    self.swaps += 1
            except OSError:
                # The service does with its directory what it has to; begin from what is there.
                link.unlink(missing_ok=True)
                if not os.path.lexists(self._directory) and aside.exists():
                    aside.rename(self._directory)
                elif not os.path.lexists(self._directory):
                    self._directory.mkdir()


class SwappedAtUse:
    """Makes a path a link to something outside in the very moment in which the service opens it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, target: Path) -> None:
        self.swapped = False
        opened = os.open

        def opening(name: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            same = os.path.basename(os.fsencode(name)) == os.fsencode(path.name)
            if same and not self.swapped and os.path.lexists(path):
                self.swapped = True
                path.rename(path.with_name("aside"))
                path.symlink_to(target)
            return opened(name, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", opening)


class TestLinksBetweenCheckAndUse:
    """A directory becomes a link to the outside while the service works in it."""

    def prepared(self, asker: Asker, surroundings: Surroundings, mount: str = "/") -> tuple[str, str]:
        folder = surroundings.root / "folder"
        folder.mkdir()
        for number in range(40):
            (folder / f"file {number}").write_bytes(b"inside")
        (folder / "secret").write_bytes(b"inside")
        context = asker.context(f"swapped {next(numbers)}")
        binding = {"ContextId": context, "Path": mount}
        made = asker.data("CreateMcpSession", PersistenceDataList=[binding], Root=str(surroundings.root))
        asker.wait(made["SessionId"], made["TaskIds"][0])
        return context, str(made["SessionId"])

    def secrets(self, asker: Asker, context: str) -> set[bytes]:
        """Return the contents that the context has, or ever had, under the name of what lies outside."""
        held = set()
        for revision in asker.data("ListRevisions", ContextId=context):
            asked = {"ContextId": context, "FilePath": "/folder/secret", "Revision": revision["Revision"]}
            answer = asker.ask("GetContextFileDownloadUrl", **asked)
            if answer["Success"]:
                held.add(requests.get(answer["Data"]["Url"], timeout=30).content)
        return held

    @pytest.mark.parametrize("mount", ["/", "/folder"])
    @pytest.mark.parametrize("name", ["folder", "folder/secret"])
    @pytest.mark.parametrize("mode", ["upload", "download"])
    def test_what_is_swapped_when_it_is_opened_leads_nowhere(
        self, asker: Asker, place: Path, monkeypatch: pytest.MonkeyPatch, mount: str, name: str, mode: str
    ) -> None:
        surroundings = around(place)
        context, session = self.prepared(asker, surroundings, mount)
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        assert asker.wait(session, task)["status"] == "Success"
        put(asker, context, "/folder/secret", b"changed")
        put(asker, context, "/folder/new", b"new")
        (surroundings.root / "folder" / "secret").write_bytes(b"mine")
        target = surroundings.outside / name.removeprefix("folder").strip("/")
        swap = SwappedAtUse(monkeypatch, surroundings.root / name, target)
        (task,) = asker.data("SyncContext", SessionId=session, Mode=mode)["TaskIds"]
        ended = asker.wait(session, task)
        assert swap.swapped
        assert ended["status"] == "Success" or ended["errorMessage"]
        surroundings.check()
        assert self.secrets(asker, context) <= {b"inside", b"mine", b"changed"}

    def test_an_upload_takes_nothing_from_outside(self, asker: Asker, place: Path) -> None:
        surroundings = around(place)
        context, session = self.prepared(asker, surroundings)
        with Swapping(surroundings.root / "folder", surroundings.outside) as swapping:
            for _ in range(25):
                (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
                ended = asker.wait(session, task)
                assert ended["status"] == "Success" or ended["errorMessage"]
        assert swapping.swaps > 5
        surroundings.check()
        assert self.secrets(asker, context) <= {b"inside"}

    @pytest.mark.parametrize("mode", ["write", "remove"])
    def test_a_download_changes_nothing_outside(self, asker: Asker, place: Path, mode: str) -> None:
        surroundings = around(place)
        context, session = self.prepared(asker, surroundings)
        (task,) = asker.data("SyncContext", SessionId=session)["TaskIds"]
        assert asker.wait(session, task)["status"] == "Success"
        with Swapping(surroundings.root / "folder", surroundings.outside) as swapping:
            for number in range(20):
                if mode == "write":
                    put(asker, context, "/folder/secret", b"changed %d" % number)
                    put(asker, context, f"/folder/new {number}", b"new")
                else:
                    asker.ask("DeleteContextFile", ContextId=context, FilePath=f"/folder/file {number}")
                    put(asker, context, "/folder/secret", b"again %d" % number)
                    asker.data("DeleteContextFile", ContextId=context, FilePath="/folder/secret")
                (task,) = asker.data("SyncContext", SessionId=session, Mode="download")["TaskIds"]
                ended = asker.wait(session, task)
                assert ended["status"] == "Success" or ended["errorMessage"]
                surroundings.check()
        assert swapping.swaps > 5

    def test_an_archive_is_not_unpacked_outside(self, asker: Asker, place: Path) -> None:
        surroundings = around(place)
        context = asker.context(f"swapped {next(numbers)}")
        names = [(f"folder/file {number}", "file") for number in range(30)] + [("folder/secret", "file")]
        policy = {"extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": True}}
        with Swapping(surroundings.root / "folder", surroundings.outside) as swapping:
            for number in range(8):
                assert put(asker, context, f"/archive {number}.tar", tarred(names, ".tar"))
                ended = downloaded(asker, context, surroundings.root, policy)
                assert ended["status"] == "Success" or ended["errorMessage"]
                surroundings.check()
        assert swapping.swaps > 5
        undisturbed = around(place)
        assert downloaded(asker, context, undisturbed.root, policy)["status"] == "Success"
        assert (undisturbed.root / "folder" / "secret").read_bytes() == b"escaped"
