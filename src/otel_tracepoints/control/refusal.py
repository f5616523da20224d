"""What the API answers when it does not do what was asked: codes, statuses and the error form."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional

from otel_tracepoints.errors import TracepointsError

#: The one table of statuses; a code that is not in it is a fault of ours: 500.
STATUS: Mapping[str, int] = {
    "MALFORMED_JSON": 400,
    "INVALID_FIELD": 400,
    "UNKNOWN_FIELD": 400,
    "INVALID_LINE": 400,
    "LINE_NOT_EXECUTABLE": 400,
    "AMBIGUOUS_FILE": 400,
    "IMMUTABLE_FIELD": 400,
    "MISSING_SELECTOR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN_ORIGIN": 403,
    "FORBIDDEN_HOST": 403,
    "FORBIDDEN_FILE": 403,
    "FILE_NOT_FOUND": 404,
    "POINT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "DUPLICATE_ID": 409,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INVALID_CONDITION": 422,
    "INVALID_MESSAGE": 422,
    "INVALID_WATCH": 422,
    "INTERNAL": 500,
}


class Refusal(TracepointsError):
    """A request refused by the HTTP side, before any probe is looked at.

    Args:
        code: One of `STATUS`.
        headers: Sent with the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Optional[Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        super().__init__(message, details)
        self.code = code
        self.headers: Dict[str, str] = dict(headers or {})


def internal() -> Refusal:
    """What is told about an error of ours: nothing but that there was one."""
    return Refusal("INTERNAL", "The agent failed to answer; its log says why.")


def error_form(error: TracepointsError, redact: Callable[[str], str]) -> Dict[str, Any]:
    """The error form; its strings may quote the request, so value patterns run over them."""
    return {
        "error": redact(error.message),
        "code": error.code,
        "details": _redacted(error.details, redact),
    }


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [_redacted(item, redact) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item, redact) for key, item in value.items()}
    return value
