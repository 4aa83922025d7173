"""All the choices of one binding, and the binding itself."""

from __future__ import annotations

import json
from typing import Any

import attrs

from ctxmgr.arguments import context_id_of
from ctxmgr.errors import ArgumentError, ArgumentTypeError
from ctxmgr.results import Context

from .choices import ConflictChoice
from .fields import Policy, are_texts, chosen, named, texts
from .selection import BWList, MappingPolicy
from .transfers import DeletePolicy, DownloadPolicy, ExtractPolicy, RecyclePolicy, UploadPolicy

__all__ = ["Binding", "SyncPolicy", "wire_binding"]


def _is_part(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    kind = attribute.metadata["kind"]
    if not isinstance(value, kind) and not (value is None and attribute.default is None):
        raise ArgumentTypeError(f"{named(instance, attribute)} is {value!r}; it must be of type {kind.__name__}")


def _conflict_choice(value: ConflictChoice | str | None) -> ConflictChoice | None:
    return None if value is None else chosen("SyncPolicy.conflict", ConflictChoice, value)


@attrs.frozen(kw_only=True)
class SyncPolicy(Policy):
    """All the choices of one binding.

    Attributes:
        upload: when and how the directory is uploaded.
        download: when the context is downloaded.
        delete: what becomes of deleted files.
        extract: what becomes of archives; ``None`` leaves them the files that they are.
        recycle: how long files stay; ``None`` leaves it as it is.
        bw_list: what is synced; ``None`` is everything.
        mapping: which paths of the context appear; ``None`` is the mount path itself.
        exclude: patterns in gitignore's syntax of what is not synced, such as ``*.log`` or ``build/``; they come before
            those of the directory's ``.ctxignore`` files (ctxmgr's own service only).
        conflict: who wins where both sides changed a path; ``None`` is the side that is synced from (ctxmgr's own
            service only).
    """

    upload: UploadPolicy = attrs.field(
        default=UploadPolicy(),
        validator=_is_part,
        metadata={"wire": "uploadPolicy", "kind": UploadPolicy, "sent_empty": False},
    )
    download: DownloadPolicy = attrs.field(
        default=DownloadPolicy(),
        validator=_is_part,
        metadata={"wire": "downloadPolicy", "kind": DownloadPolicy, "sent_empty": False},
    )
    delete: DeletePolicy = attrs.field(
        default=DeletePolicy(),
        validator=_is_part,
        metadata={"wire": "deletePolicy", "kind": DeletePolicy, "sent_empty": False},
    )
    extract: ExtractPolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "extractPolicy", "kind": ExtractPolicy, "sent_empty": False}
    )
    recycle: RecyclePolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "recyclePolicy", "kind": RecyclePolicy, "sent_empty": False}
    )
    bw_list: BWList | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "bwList", "kind": BWList, "sent_empty": False}
    )
    mapping: MappingPolicy | None = attrs.field(
        default=None, validator=_is_part, metadata={"wire": "mappingPolicy", "kind": MappingPolicy, "sent_empty": False}
    )
    exclude: tuple[str, ...] = attrs.field(
        default=(), converter=texts, validator=are_texts, metadata={"wire": "exclude", "sent_empty": False}
    )
    conflict: ConflictChoice | None = attrs.field(
        default=None, converter=_conflict_choice, metadata={"wire": "conflict", "sent_empty": False}
    )

    @property
    def extensions(self) -> tuple[str, ...]:
        """The parts that only ctxmgr's own service honours, as it names them."""
        return tuple(f"Policy.{name}" for name in ("exclude", "conflict") if getattr(self, name))

    @classmethod
    def from_text(cls, text: str) -> SyncPolicy:
        """Read a policy from JSON text, such as a ``ContextBinding``'s; ``""`` is the default.

        Raises:
            ArgumentError: it is none.
        """
        try:
            document = json.loads(text or "{}")
        except (ValueError, RecursionError):
            raise ArgumentError(f"the policy is {text[:120]!r}; it must be a JSON object") from None
        return cls.from_wire({} if document is None else document)

    @classmethod
    def _read(cls, field: attrs.Attribute[Any], value: Any) -> Any:
        kind = field.metadata.get("kind")
        return value if kind is None else kind.from_wire(value)


@attrs.frozen
class Binding:
    """A context to bind, with its policy.

    Attributes:
        context: the context or its id.
        policy: ``None`` leaves it to the service: everything automatic.
    """

    context: Context | str
    policy: SyncPolicy | None = None

    def wire(self, path: str) -> dict[str, str]:
        """Return the binding at a mount path as JSON carries it (protocol: "Binding")."""
        wire = {"ContextId": context_id_of(self.context), "Path": path}
        if self.policy is not None:
            wire["Policy"] = json.dumps(self.policy.wire())
        return wire


def wire_binding(path: str, bound: Context | str | Binding) -> dict[str, str]:
    """Return a binding at a mount path as JSON carries it.

    Raises:
        ArgumentError: the path is not absolute.
    """
    if not path.startswith("/") and ":" not in path:
        raise ArgumentError(f"the mount path {path!r} is not absolute: write '/{path}'; '/' is the root itself")
    return (bound if isinstance(bound, Binding) else Binding(bound)).wire(path)
