"""One request and its answer, as the access log and the metrics tell of it."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field

from .metrics import Metrics

__all__ = ["ACCESS_LOG", "AccessRecord"]

ACCESS_LOG = logging.getLogger("ctxmgr.access")
"""One JSON object a request, at the level INFO; holds no key, no parameter and no URL."""


@dataclass
class AccessRecord:
    """What is known of a request; filled in on the way.

    Attributes:
        action: the protocol's, or what else was asked for; "" until it is known.
        code: the answer's.
        status: the HTTP status of the answer; 0 while there is none.
        received: bytes of its body.
        sent: bytes of the answer's body.
        parked: whether it waited for the end of a task.
    """

    client: str
    action: str = ""
    request_id: str = ""
    account: str = ""
    key_id: str = ""
    code: str = ""
    status: int = 0
    received: int = 0
    sent: int = 0
    parked: bool = False
    began: float = field(default_factory=time.perf_counter)

    def close(self, metrics: Metrics) -> None:
        """Signal that the request is over."""
        seconds = time.perf_counter() - self.began
        metrics.answered(self.action, self.code, None if self.parked else seconds)
        if not ACCESS_LOG.isEnabledFor(logging.INFO):
            return
        now = time.time()
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z",
            "request_id": self.request_id,
            "client": self.client,
            "account": self.account,
            "key": self.key_id,
            "action": self.action[:100],
            "code": self.code,
            "status": self.status,
            "ms": round(seconds * 1000, 1),
            "received": self.received,
            "sent": self.sent,
            "parked": self.parked,
        }
        ACCESS_LOG.info(json.dumps(line))
