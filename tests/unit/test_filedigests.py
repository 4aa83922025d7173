"""Digests that answers tell of files: which are believed, which are compared, and which say nothing."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable

import pytest
from blake3 import blake3

from ctxmgr import ConnectionFailed
from ctxmgr.filedigests import Arrival, Departure, repr_digest, sha256_of

CONTENT = b"the content of a file"
OTHER = b"the content of a filf"


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


TOLD: dict[str, Callable[[bytes], dict[str, str]]] = {
    "BLAKE3": lambda content: {"x-ctxmgr-blake3": blake3(content).hexdigest()},
    "SHA-256": lambda content: {"Repr-Digest": repr_digest(hashlib.sha256(content).digest())},
    "SHA-256 among others": lambda content: {
        "Repr-Digest": f"md5=:AA==:, sha-256=:{base64_of(hashlib.sha256(content).digest())}:"
    },
    "MD5": lambda content: {"Content-MD5": base64_of(hashlib.md5(content).digest())},
    "Google's MD5": lambda content: {"x-goog-hash": f"crc32c=AAAAAA==,md5={base64_of(hashlib.md5(content).digest())}"},
}
USELESS = [
    {},
    {"ETag": '"0123456789abcdef0123456789abcdef"'},
    {"x-ctxmgr-blake3": "what?"},
    {"x-ctxmgr-blake3": "00"},
    {"Repr-Digest": "sha-256=:AAAA:"},
    {"Repr-Digest": "sha-512=:AAAA:"},
    {"Content-MD5": "=?="},
    {"Content-MD5": "AAAA"},
    {"x-goog-hash": "crc32c=AAAAAA=="},
]


def arrived(headers: dict[str, str]) -> Arrival:
    arrival = Arrival(headers)
    arrival.update(CONTENT[:5])
    arrival.update(CONTENT[5:])
    arrival.check()
    return arrival


class TestArrival:
    @pytest.mark.parametrize("name", TOLD)
    def test_what_has_the_digest_is_verified(self, name: str) -> None:
        assert arrived(TOLD[name](CONTENT)).verified

    @pytest.mark.parametrize("name", TOLD)
    def test_what_has_another_is_refused(self, name: str) -> None:
        with pytest.raises(ConnectionFailed, match="damaged on its way"):
            arrived(TOLD[name](OTHER))

    @pytest.mark.parametrize("headers", USELESS, ids=str)
    def test_without_a_digest_nothing_is_verified(self, headers: dict[str, str]) -> None:
        assert not arrived(headers).verified

    def test_the_strongest_decides(self) -> None:
        assert arrived({**TOLD["MD5"](OTHER), **TOLD["SHA-256"](CONTENT)}).verified


class TestDeparture:
    @pytest.mark.parametrize("name", [name for name in TOLD if name != "BLAKE3"])
    def test_what_was_kept_as_it_was_sent_is_verified(self, name: str) -> None:
        assert Departure(io.BytesIO(CONTENT)).verify(TOLD[name](CONTENT))

    @pytest.mark.parametrize("name", [name for name in TOLD if name != "BLAKE3"])
    def test_what_was_kept_otherwise_is_refused(self, name: str) -> None:
        with pytest.raises(ConnectionFailed, match="kept something else"):
            Departure(io.BytesIO(CONTENT)).verify(TOLD[name](OTHER))

    def test_an_etag_that_is_the_md5_proves_it(self) -> None:
        etag = f'"{hashlib.md5(CONTENT).hexdigest().upper()}"'
        assert Departure(io.BytesIO(CONTENT)).verify({"ETag": etag})

    @pytest.mark.parametrize("headers", USELESS, ids=str)
    def test_anything_else_proves_nothing(self, headers: dict[str, str]) -> None:
        assert not Departure(io.BytesIO(CONTENT)).verify(headers)

    def test_the_file_is_at_its_beginning_again(self) -> None:
        file = io.BytesIO(CONTENT)
        announced = Departure(file).headers["Repr-Digest"]
        assert (file.read(), sha256_of(announced)) == (CONTENT, hashlib.sha256(CONTENT).digest())
