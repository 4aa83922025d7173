"""What all results have in common: an id, and whether and why they are a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ctxmgr.errors import error_for

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ApiResponse", "ListResult", "OperationResult", "Result"]


@attrs.define(kw_only=True)
class ApiResponse:
    """What every answer carries.

    Attributes:
        request_id: the id under which the service logged the request.
    """

    request_id: str = ""


@attrs.define(kw_only=True)
class Result(ApiResponse):
    """An answer that may be a failure.

    Attributes:
        success: whether the service did what was asked.
        error_message: ``[Code] Message`` when it did not, otherwise empty.

    A result is true exactly if it is a success.
    """

    success: bool = False
    error_message: str = ""

    def __bool__(self) -> bool:
        return self.success

    def raise_for_error(self) -> Self:
        """Return this result if it is a success.

        Raises:
            ApiError: the result is a failure; the subclass tells its kind (see ``ctxmgr.errors``).
        """
        if self.success:
            return self
        code, message = _code_and_message(self.error_message)
        raise error_for(code, message, request_id=self.request_id)


def _code_and_message(text: str) -> tuple[str, str]:
    if text.startswith("[") and "] " in text:
        code, _, message = text[1:].partition("] ")
        return code, message
    return "", text or "the service gave no reason"


@attrs.define(kw_only=True)
class OperationResult(Result):
    """The answer to a change that has nothing to show but its success."""


@attrs.define(kw_only=True)
class ListResult(Result):
    """One page of a list.

    Attributes:
        next_token: asks for the next page; empty on the last.
    """

    next_token: str = ""
