"""Signed URLs: what their tokens allow, and that nobody changes one."""

from __future__ import annotations

import base64
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxmgr.errors import DataFolderError, ServiceError
from ctxmgr.service.storage.signing import DOWNLOAD, KEY_SIZE, UPLOAD, Grant, Signer, load_key

SIGNER = Signer(b"k" * KEY_SIZE)
LATER = int(time.time()) + 1_000_000


def grant(method: str = DOWNLOAD, expires: int = LATER) -> Grant:
    return Grant("local", "SdkCtx-1", b"/a/\xff\n", method, expires)


def refusal(signer: Signer, token: str, method: str = "GET") -> str:
    with pytest.raises(ServiceError) as refused:
        signer.grant(token, method)
    return refused.value.code


def test_a_token_gives_back_its_grant_for_its_method() -> None:
    assert SIGNER.grant(SIGNER.token(grant()), "GET") == grant()
    assert SIGNER.grant(SIGNER.token(grant()), "HEAD") == grant()
    assert SIGNER.grant(SIGNER.token(grant(UPLOAD)), "PUT") == grant(UPLOAD)


@pytest.mark.parametrize(("made_for", "used_for"), [("GET", "PUT"), ("PUT", "GET"), ("PUT", "HEAD"), ("GET", "DELETE")])
def test_a_token_is_of_no_use_for_another_method(made_for: str, used_for: str) -> None:
    assert refusal(SIGNER, SIGNER.token(grant(made_for)), used_for) == "ForbiddenUrl.Method"


def test_a_token_expires() -> None:
    assert refusal(SIGNER, SIGNER.token(grant(expires=int(time.time())))) == "ForbiddenUrl.Expired"


def test_a_token_of_another_key_is_refused() -> None:
    assert refusal(Signer(b"x" * KEY_SIZE), SIGNER.token(grant())) == "ForbiddenUrl.Invalid"


@given(st.data())
def test_no_changed_token_is_accepted(data: st.DataObject) -> None:
    token = SIGNER.token(grant())
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.") | st.characters())
    changed = token[:at] + other + token[at + 1 :]
    # The last letters of base64 carry bits that mean nothing.
    if decoded(changed) == decoded(token):
        assert SIGNER.grant(changed, "GET") == grant()
    else:
        assert refusal(SIGNER, changed) == "ForbiddenUrl.Invalid"


def decoded(token: str) -> list[bytes | None]:
    """The two halves' bytes; None for what is no base64."""
    found: list[bytes | None] = []
    for half in token.split("."):
        try:
            text = half.encode("ascii")
            found.append(base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except ValueError:
            found.append(None)
    return found


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_a_token(text: str) -> None:
    assert refusal(SIGNER, text) == "ForbiddenUrl.Invalid"


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "url.key"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(load_key(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {load_key(file)}
    assert (len(found), len(found[0])) == (8, KEY_SIZE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["url.key"]


def test_a_damaged_key_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "url.key"
    file.write_bytes(b"short")
    with pytest.raises(DataFolderError, match=r"url\.key.* 5 bytes"):
        load_key(file)
