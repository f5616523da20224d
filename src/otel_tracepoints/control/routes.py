"""The table of endpoints: routing, audit and the OpenAPI document come from it."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.schema.query import (
    DELETE_PARAMETERS,
    HITS_PARAMETERS,
    LINES_PARAMETERS,
    NO_PARAMETERS,
    POINTS_PARAMETERS,
    Parameter,
)


class Route(NamedTuple):
    """One call of the API.

    Attributes:
        operation: The method of `Operations` that answers it, and its ``operationId``.
        answer: Name of the answer's schema; None is no body.
        query: None: a query string is not looked at (the operator's switch always works).
        body: Name of the body's schema; None is no body.
        errors: Codes beyond those that every call may get.
        action: Its name in audit records; None is no change.
        open: Needs no token.
        urgent: Served ahead of all others, by a thread that is kept for it.
    """

    method: str
    path: str
    operation: str
    about: str
    answer: Optional[str]
    status: int = 200
    query: Optional[Sequence[Parameter]] = NO_PARAMETERS
    body: Optional[str] = None
    errors: Tuple[str, ...] = ()
    action: Optional[str] = None
    open: bool = False
    urgent: bool = False


_BODY = ("MALFORMED_JSON", "INVALID_FIELD", "UNKNOWN_FIELD", "BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_EXPRESSIONS = ("INVALID_CONDITION", "INVALID_MESSAGE", "INVALID_WATCH")
_FILE = ("AMBIGUOUS_FILE", "FORBIDDEN_FILE", "FILE_NOT_FOUND")
_CREATE = (
    *_BODY,
    "INVALID_LINE",
    "LINE_NOT_EXECUTABLE",
    *_FILE,
    "DUPLICATE_ID",
    *_EXPRESSIONS,
)
_UPDATE = (*_BODY, "IMMUTABLE_FIELD", "POINT_NOT_FOUND", *_EXPRESSIONS)

ROUTES: Tuple[Route, ...] = (
    Route("GET", "/health", "health", "The agent's state.", "Health", open=True, urgent=True),
    Route(
        "GET",
        "/points",
        "list_points",
        "All points, or some.",
        "Points",
        query=POINTS_PARAMETERS,
        errors=("INVALID_FIELD",),
    ),
    Route(
        "POST",
        "/tracepoints",
        "create_tracepoint",
        "A new tracepoint.",
        "Tracepoint",
        status=201,
        body="TracepointDefinition",
        errors=_CREATE,
        action="create",
    ),
    Route(
        "POST",
        "/logpoints",
        "create_logpoint",
        "A new logpoint.",
        "Logpoint",
        status=201,
        body="LogpointDefinition",
        errors=_CREATE,
        action="create",
    ),
    Route(
        "DELETE",
        "/points",
        "delete_points",
        "Remove the points that carry any of the tags, or all.",
        "Removed",
        query=DELETE_PARAMETERS,
        errors=("INVALID_FIELD", "MISSING_SELECTOR"),
        action="delete",
    ),
    Route(
        "POST",
        "/points/validate",
        "validate_point",
        "What a create call would answer; nothing is created.",
        "Point",
        body="ProbeDefinition",
        errors=_CREATE,
    ),
    Route("GET", "/points/{id}", "get_point", "One point.", "Point", errors=("POINT_NOT_FOUND",)),
    Route(
        "PUT",
        "/points/{id}",
        "update_point",
        "Change what is given, leave the rest.",
        "Point",
        body="PointUpdate",
        errors=_UPDATE,
        action="update",
    ),
    Route(
        "PATCH",
        "/points/{id}",
        "patch_point",
        "The same as PUT.",
        "Point",
        body="PointUpdate",
        errors=_UPDATE,
        action="update",
    ),
    Route(
        "DELETE",
        "/points/{id}",
        "delete_point",
        "Remove one point.",
        None,
        status=204,
        errors=("POINT_NOT_FOUND",),
        action="delete",
    ),
    Route(
        "POST",
        "/points/{id}/enable",
        "enable_point",
        "Switch one point on.",
        "Switched",
        errors=("POINT_NOT_FOUND",),
        action="enable",
    ),
    Route(
        "POST",
        "/points/{id}/disable",
        "disable_point",
        "Switch one point off.",
        "Switched",
        errors=("POINT_NOT_FOUND",),
        action="disable",
    ),
    Route(
        "GET",
        "/points/{id}/explain",
        "explain_point",
        "Why its hits do or do not arrive.",
        "Explanation",
        errors=("POINT_NOT_FOUND",),
    ),
    Route(
        "POST",
        "/tags/enable",
        "enable_tags",
        "Switch the points that carry any of the tags on.",
        "EnabledByTags",
        body="Tags",
        errors=_BODY,
        action="enable",
    ),
    Route(
        "POST",
        "/tags/disable",
        "disable_tags",
        "Switch the points that carry any of the tags off.",
        "DisabledByTags",
        body="Tags",
        errors=_BODY,
        action="disable",
    ),
    Route(
        "GET",
        "/lines",
        "list_lines",
        "Exactly the lines of a file that a create call accepts.",
        "Lines",
        query=LINES_PARAMETERS,
        errors=("INVALID_FIELD", *_FILE),
    ),
    Route(
        "GET",
        "/hits",
        "list_hits",
        "Recent hits, ascending; with wait a long poll.",
        "Hits",
        query=HITS_PARAMETERS,
        errors=("INVALID_FIELD",),
    ),
    Route(
        "POST",
        "/sleep",
        "sleep",
        "All probes off at once.",
        "State",
        query=None,
        action="sleep",
        urgent=True,
    ),
    # Not urgent: it places probes, which takes its time, and would keep the switch waiting for its thread.
    Route("POST", "/wake", "wake", "All probes on again.", "State", query=None, action="wake"),
    Route("GET", "/openapi.json", "openapi", "This document.", "OpenApi", open=True),
)

#: Paths of calls that are served first.
URGENT_PATHS = frozenset(route.path for route in ROUTES if route.urgent)


def by_path() -> Dict[str, List[Route]]:
    """The routes of each path, in the table's order."""
    paths: Dict[str, List[Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, []).append(route)
    return paths
