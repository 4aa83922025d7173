"""Calls about the way of nodes straight to the object store: URLs of what is an account's own, and of nothing else."""

from __future__ import annotations

from ctxmgr import nodewire
from ctxmgr.errors import ServiceError
from ctxmgr.service.storage.direct import VALID_SECONDS
from ctxmgr.service.storage.staging import is_name
from ctxmgr.service.tasks.runtime import Runtime

__all__ = ["get_urls", "put_url"]


def put_url(runtime: Runtime, account: str, message: nodewire.PutUrl) -> nodewire.UploadUrl:
    """Answer where a pack can be uploaded, and with what it is proven to be the node's own."""
    _check([message.name])
    if runtime.direct is None:
        return nodewire.UploadUrl()
    url = runtime.direct.put_url(account, message.name)
    return nodewire.UploadUrl(url, runtime.signer.challenge(account, message.name))


def get_urls(runtime: Runtime, account: str, message: nodewire.GetUrls) -> nodewire.PackUrls:
    """Answer where packs can be read: those in which nothing of another account lies."""
    _check(message.packs)
    if runtime.direct is None:
        return nodewire.PackUrls()
    names = sorted(runtime.store(account).content.own_packs(message.packs))
    urls = zip(names, runtime.direct.get_urls(names), strict=True)
    return nodewire.PackUrls({name: url for name, url in urls if url}, VALID_SECONDS)


def _check(names: list[str]) -> None:
    if len(names) > nodewire.MAX_URLS or not all(map(is_name, names)):
        raise ServiceError(
            "InvalidParameter.Malformed", f"names of packs are expected, {nodewire.MAX_URLS} at most, each of 64 digits"
        )
