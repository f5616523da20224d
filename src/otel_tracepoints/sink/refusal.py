"""Requests that the sink refuses, each with its status and machine code.

The codes and the form of the answer are the control API's; ``docs/troubleshooting.md``.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

from otel_tracepoints.errors import TracepointsError


class Refusal(TracepointsError):
    """A request that gets an error answer.

    Args:
        status: HTTP status.
        code: Machine code of the control API.
        headers: Of the answer, beyond the usual ones.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Optional[Mapping[str, Any]] = None,
        headers: Sequence[Tuple[str, str]] = (),
    ) -> None:
        super().__init__(message, details)
        self.status = status
        self.code = code
        self.headers = tuple(headers)

    @classmethod
    def of_error(cls, error: TracepointsError) -> Refusal:
        """A bad request (400), in the words of the error that found it out."""
        return cls(400, error.code, error.message, error.details)


class Disconnected(TracepointsError):
    """The client went away; there is nobody to answer."""

    code = "DISCONNECTED"
