"""What everything that one client gives out shares: its way to the service, and the waits on it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from ._io import Closing, HttpSession, HttpWire, Jobs, LocalNode, LocalWire, Waitable
from .arguments import context_id_of, thread_executor
from .background import Background
from .config import DEFAULT_REGION, resolve
from .policies import Binding
from .polling import Poller
from .protocol import Answer, unless_understood
from .results import Context, ListResult
from .transport import Transport

__all__ = ["ClientCore", "pages", "warn_unclosed"]

_Page = TypeVar("_Page", bound=ListResult)


class ClientCore:
    """The parts of a client, from its first request to its end.

    Args:
        wire: what sends a request once.
        jobs: what runs polls and callbacks in the background.
        node: makes this process the node of sessions; ``None`` where the service is in this process.
        attempts: how often a request may be sent in all when that is safe.
        region: where new contexts are made.
        settle_polls: as for ``Client``.
    """

    def __init__(
        self,
        wire: HttpWire | LocalWire,
        jobs: Jobs,
        node: LocalNode | None = None,
        attempts: int = 1,
        region: str = DEFAULT_REGION,
        settle_polls: int = 3,
    ) -> None:
        self.closing = Closing()
        self.transport = Transport(wire, attempts, self.closing)
        self.poller = Poller(self.transport, self.closing)
        self.background = Background(self.poller, jobs)
        self.node = node
        self.region = region
        self.settle_polls = settle_polls

    @classmethod
    def over_http(
        cls, session: HttpSession | None = None, executor: Executor | None = None, **settings: Any
    ) -> ClientCore:
        """Make the parts of a client of a server.

        Args:
            session, executor: as for ``Client``.
            settings: its other arguments.
        """
        config = resolve(**settings)
        wire = HttpWire(config, session)
        jobs = Jobs(config.workers, thread_executor(executor), wire)
        return cls(wire, jobs, LocalNode(config, session), config.attempts, config.region, config.settle_polls)

    def refusal(self, needed: Collection[str], question: Mapping[str, str], within: float = math.inf) -> Answer | None:
        """Return the failed answer to a request with parameters that the service might ignore.

        Args:
            needed: their names; without any nothing is asked.
            question: names what GetContextInfo is asked about.
            within: seconds it may take to ask.
        """
        if not needed:
            return None
        asked = {**question, "TaskIds": "[]", "Extensions": "true"}
        return unless_understood(self.transport.call("GetContextInfo", asked, within=within), needed)

    def refusal_of_policies(self, bound: Iterable[Context | str | Binding]) -> Answer | None:
        """Return the failed answer to a request that binds contexts with policies which the service might ignore."""
        for each in bound:
            if isinstance(each, Binding) and each.policy is not None and each.policy.extensions:
                # The context stands in for the session, which may not be there yet.
                question = {"ContextId": context_id_of(each.context)}
                refusal = self.refusal(each.policy.extensions, question)
                if refusal is not None:
                    return refusal
        return None

    def close(self) -> None:
        """End every wait, leave the sessions' directories, cut what is under way, and close the connections."""
        self.closing.set()
        self.background.jobs.close()
        if self.node is not None:
            self.node.close()
        self.transport.close()


def pages(fetch: Callable[..., Waitable[_Page]], *args: Any, **kwargs: Any) -> Iterator[_Page]:
    """Go through all pages of a list.

    Args:
        fetch: returns one page, and takes ``next_token=`` beside the other arguments.

    Raises:
        ApiError: a page could not be had.
    """
    token = ""
    while True:
        page = fetch(*args, **kwargs, next_token=token)
        page.raise_for_error()
        yield page
        token = page.next_token
        if not token:
            return


def warn_unclosed(owner: object) -> None:
    """Warn that what holds a core goes away without having closed it."""
    text = f"unclosed {owner!r}: use it in a with statement, or close it"
    warnings.warn(text, ResourceWarning, stacklevel=3, source=owner)
