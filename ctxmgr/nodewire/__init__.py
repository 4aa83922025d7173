"""What a node and its service say to each other: one msgpack message a request, and one an answer.

A node is the process that has a session's directory. It sends ``POST /node/<call>`` with the key as for actions; the
body is the message of that call in `CALLS`, the answer with HTTP status 200 is the message beside it (`READ` alone is
answered with raw bytes). Every refusal is the JSON envelope of the actions with a status of 400 or above; its codes are
below. Every call may be sent twice; those that change something once carry ``again``, true for a re-send whose first
answer was lost. A field that a side does not know is ignored, one that it misses has its default.

Fields of ``bytes`` that hold lists are `pack`ed: zstd of msgpack, and the receiver bounds what comes out, in bytes and
in paths. A body has at most `MAX_BODY` bytes; what is larger is sent before, in pieces, by ``stage``, and then named by
its BLAKE3-256.

Imported by what answers nodes in ``service`` and by ``node``; imports the engine's entries.
"""

from __future__ import annotations

from .calls import CALLS, READ
from .content import (
    Digests,
    GetUrls,
    Locate,
    Lost,
    Missing,
    PackUrls,
    Places,
    PutUrl,
    Read,
    Stage,
    Staged,
    StorePack,
    UploadUrl,
)
from .contexts import Changes, ChangesPage, EntriesPage, Held, Key, KeyOf, Truth, Unchanged, Uploaded
from .limits import (
    ACCEPTED_BLOCK,
    ACCEPTED_PATHS,
    CONTENT,
    CONTENT_TYPE,
    DAMAGED,
    HEAD_MOVED,
    MAX_BODY,
    MAX_DIGESTS,
    MAX_PACKED,
    MAX_PACKS,
    MAX_PARTS,
    MAX_PLACES,
    MAX_PLAN,
    MAX_URLS,
    NODE_CONFLICT,
    PIECE_BYTES,
    READ_BYTES,
    TASK_INTERRUPTED,
    VERSION,
)
from .message import Done, Message
from .packing import Garbled, decode, encode, pack, pack_blocks, read_blocks, unpack
from .sessions import (
    Attach,
    Attached,
    Hello,
    Leave,
    PlannedChange,
    PlannedPart,
    PlannedParts,
    PlanPart,
    Question,
    QuestionAnswer,
    Take,
    Taken,
    TaskMessage,
    Welcome,
)
from .tasks import Commit, Fail, OutcomeMessage, PolicyOf, PolicyText, Report, RowBlock, Start

__all__ = [
    "VERSION",
    "CONTENT_TYPE",
    "DAMAGED",
    "MAX_BODY",
    "PIECE_BYTES",
    "READ_BYTES",
    "MAX_DIGESTS",
    "MAX_PLACES",
    "MAX_PACKED",
    "MAX_PACKS",
    "MAX_PARTS",
    "MAX_PLAN",
    "MAX_URLS",
    "ACCEPTED_BLOCK",
    "ACCEPTED_PATHS",
    "HEAD_MOVED",
    "TASK_INTERRUPTED",
    "NODE_CONFLICT",
    "CONTENT",
    "Message",
    "Done",
    "CALLS",
    "READ",
    "Hello",
    "Welcome",
    "Attach",
    "Attached",
    "Take",
    "TaskMessage",
    "PlanPart",
    "Question",
    "Taken",
    "Leave",
    "PlannedChange",
    "PlannedPart",
    "PlannedParts",
    "QuestionAnswer",
    "Start",
    "Report",
    "Fail",
    "PolicyOf",
    "PolicyText",
    "OutcomeMessage",
    "RowBlock",
    "Commit",
    "Changes",
    "ChangesPage",
    "Uploaded",
    "EntriesPage",
    "Held",
    "Key",
    "KeyOf",
    "Truth",
    "Unchanged",
    "Digests",
    "Lost",
    "Missing",
    "Locate",
    "Places",
    "Read",
    "Stage",
    "Staged",
    "StorePack",
    "PutUrl",
    "UploadUrl",
    "GetUrls",
    "PackUrls",
    "Garbled",
    "encode",
    "decode",
    "pack",
    "unpack",
    "pack_blocks",
    "read_blocks",
]
