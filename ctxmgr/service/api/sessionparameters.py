"""What CreateMcpSession may ask for beside bindings, labels and an image: applied, refused, or told as not applied.

Refused is what a program relies on and would miss without a word. Not applied, and told so in the answer and in
docs/agentbay.md, is when a session ends: here no session ends before it is deleted.
"""

from __future__ import annotations

from typing import Final

from ctxmgr.errors import ServiceError

from .parameters import Parameters

__all__ = ["not_applied", "refuse_unsupported"]

_REFUSED: Final = {
    "ContextId": "bind contexts by PersistenceDataList",
    "EnableRecord": "there is no browser to be recorded",
    "ExtraConfigs": "there is no device to be configured",
    "LoadSkill": "there are no skills",
    "McpPolicyId": "there are no policies of sandboxes",
    "NetworkId": "there are no networks",
    "SessionId": "the service chooses the id of a new session",
    "Skills": "there are no skills",
    "VpcResource": "there are no networks",
}
_OFF: Final = ("", "false", "[]", "{}")
_NOT_APPLIED: Final = ("MaxRuntime", "Timeout")


def refuse_unsupported(parameters: Parameters) -> None:
    """Check that a new session can be all that it is asked to be.

    Raises:
        ServiceError: ``UnsupportedParameter``, naming the first parameter that has no meaning here.
    """
    for name, why in _REFUSED.items():
        for sent in parameters.named(name):
            if parameters.text(sent).lower() not in _OFF:
                raise ServiceError(
                    "UnsupportedParameter",
                    f"{sent} of CreateMcpSession is not supported: {why}; a session here is a directory. Leave it out",
                )


def not_applied(parameters: Parameters) -> list[str]:
    """Return the parameters that were sent, and change nothing about the session."""
    return [name for name in _NOT_APPLIED if parameters.number(name, 0, least=0, most=2**31)]
