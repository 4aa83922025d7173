"""Actions that give signed URLs of a context's files."""

from __future__ import annotations

import time
from typing import Any

from ctxmgr.errors import ServiceError
from ctxmgr.service.catalog import contextfiles, contexts, history
from ctxmgr.service.storage.signing import DOWNLOAD, UPLOAD, VALID_SECONDS, Grant
from ctxmgr.service.tasks.runtime import Runtime

from .parameters import Parameters

__all__ = ["download_url", "upload_url"]

MAX_REVISION = 2**62


def upload_url(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetContextFileUploadUrl: a URL that takes a file's bytes by PUT."""
    return _url(runtime, account, parameters, UPLOAD)


def download_url(runtime: Runtime, account: str, parameters: Parameters) -> dict[str, Any]:
    """Answer GetContextFileDownloadUrl: a URL that answers a GET with a file, (ext) as it was at ``Revision``."""
    return _url(runtime, account, parameters, DOWNLOAD)


def _url(runtime: Runtime, account: str, parameters: Parameters, method: str) -> dict[str, Any]:
    context_id = parameters.required("ContextId")
    path = contextfiles.checked_path("FilePath", parameters.file_name("FilePath"))
    revision = parameters.number("Revision", 0, least=1, most=MAX_REVISION) if method == DOWNLOAD else 0
    with runtime.catalog.read() as connection:
        contexts.find(connection, account, context_id)
        if method == DOWNLOAD:
            history.check_revision(connection, context_id, revision)
            contextfiles.find_file(connection, context_id, path, revision=revision or None)
    if not parameters.base_url:
        raise ServiceError(
            "UnsupportedAction.NoServer",
            "a service inside a program has no URLs: let the client move the file (client.files.upload and "
            "client.files.download do), or use a ctxmgr serve",
        )
    expires = int(time.time()) + VALID_SECONDS
    token = runtime.signer.token(Grant(account, context_id, path, method, expires, revision))
    return {"Data": {"Url": f"{parameters.base_url}/files/{token}", "ExpireTime": expires}}
