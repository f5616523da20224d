"""The nouns that the stages exchange: what a probe is, and what a hit leaves behind.

Everything here is frozen or detached: no value in this module ever refers to an object of
the application. A live hit is just the frame that the engine hands to the pipeline; what
outlives the hit is a `Snapshot`.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

#: What a captured value looks like: plain, finite, acyclic JSON (``docs/telemetry.md``).
JsonValue = Any


class ProbeType(str, enum.Enum):
    """What happens when the line is reached."""

    TRACEPOINT = "tracepoint"
    LOGPOINT = "logpoint"


#: Severity of a logpoint's record: the level's name → OpenTelemetry's severity number.
LEVELS: Dict[str, int] = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}


class ProbeState(str, enum.Enum):
    """The first of these, in this order, that is true of a probe is its state."""

    EXPIRED = "expired"
    DISABLED = "disabled"
    ERROR = "error"
    PENDING = "pending"
    ACTIVE = "active"


class Outcome(str, enum.Enum):
    """Every way in which an arrival at a probe's line can end; the value is its name in ``counts``."""

    EMITTED = "emitted"
    CONDITION_FALSE = "conditionFalse"
    CONDITION_ERROR = "conditionError"
    RATE_LIMITED = "rateLimited"
    OVER_BUDGET = "overBudget"
    CAPTURE_ERROR = "captureError"
    DROPPED = "dropped"
    REENTRANT = "reentrant"


class RateLimit(NamedTuple):
    """A token bucket: ``limit_per_second`` tokens a second, at most ``burst`` saved up."""

    limit_per_second: float = 10.0
    burst: int = 10


class CaptureLimits(NamedTuple):
    """How much of each value a snapshot takes."""

    max_depth: int = 3
    max_properties: int = 100
    max_string_length: int = 1024
    max_frames: int = 20

    def doubled(self) -> CaptureLimits:
        """Limits for a watch: the user asked for it by name, so it gets twice as much."""
        return CaptureLimits(
            self.max_depth * 2, self.max_properties * 2, self.max_string_length * 2, self.max_frames
        )


@dataclasses.dataclass(frozen=True)
class Probe:
    """The definition of a probe, as the user gave it.

    Attributes:
        file: Path or path suffix, as given.
        line: From 1, as given.
        type: Left out: a logpoint if there is a message, else a tracepoint.
        id: Left out: a UUID when it is set.
        condition: Source text, or None; never blank.
        message: Template; a logpoint has one, a tracepoint has none.
        expire_seconds: Seconds from creation, or from the update that set it; None is never.
    """

    file: str
    line: int
    type: ProbeType = None  # type: ignore[assignment] # decided below
    id: str = ""
    condition: Optional[str] = None
    message: Optional[str] = None
    level: str = "INFO"
    tags: Tuple[str, ...] = ()
    enabled: bool = True
    rate_limit: RateLimit = RateLimit()
    snapshot: CaptureLimits = CaptureLimits()
    watch: Tuple[str, ...] = ()
    max_hits: Optional[int] = None
    expire_seconds: Optional[float] = 3600.0

    def __post_init__(self) -> None:
        if self.type is None:
            type_ = ProbeType.TRACEPOINT if self.message is None else ProbeType.LOGPOINT
            object.__setattr__(self, "type", type_)

    def replace(self, **changes: Any) -> Probe:
        """A copy with these fields changed."""
        return dataclasses.replace(self, **changes)


class Location(NamedTuple):
    """Where a probe was placed.

    Attributes:
        file: Absolute path.
        functions: ``pkg.mod.Class.method``, ``pkg.mod.outer.<locals>.inner``, …; a module's
            own body is its bare module name.
    """

    file: str
    line: int
    functions: Tuple[str, ...]


class StackFrame(NamedTuple):
    """One frame of a captured stack, innermost first in ``Snapshot.stack``.

    Attributes:
        function: Fully qualified.
        name: As a traceback shows it: ``work``, ``<module>``.
    """

    file: str
    line: int
    function: str
    name: str = ""


class WatchValue(NamedTuple):
    """A watch and what it evaluated to (a failed one: its ``<CODE: text>``)."""

    expression: str
    value: JsonValue


class TraceContext(NamedTuple):
    """The span that was current during the hit, as numbers."""

    trace_id: int
    span_id: int
    trace_flags: int = 0


class JsonText(str):
    """A captured value that is JSON text already, as the compiled capture makes it."""

    __slots__ = ()


def json_value(value: JsonValue) -> JsonValue:
    """The plain value, whichever way it was captured."""
    return json.loads(value) if type(value) is JsonText else value


FieldValue = Union[str, int, float, bool]


class Snapshot:
    """One emitted hit, detached, sanitised and redacted: all that is known of it.

    Built in the application's thread by the pipeline, read by emission and by the API.
    Mutable only until it is submitted; afterwards nobody changes it but the hit log, which
    sets ``sequence``.
    """

    __slots__ = (
        "arguments",
        "condition",
        "failure",
        "fields",
        "file",
        "function",
        "hit_count",
        "level",
        "line",
        "message",
        "omitted",
        "probe_id",
        "probe_type",
        "sequence",
        "stack",
        "tags",
        "task_name",
        "template",
        "thread_id",
        "thread_name",
        "timestamp_ns",
        "trace",
        "truncated",
        "variables",
        "watches",
    )

    def __init__(self, probe_id: str, probe_type: ProbeType, file: str, line: int, function: str) -> None:
        self.probe_id = probe_id
        self.probe_type = probe_type
        self.file = file
        self.line = line
        self.function = function
        #: Nanoseconds since the epoch.
        self.timestamp_ns = 0
        #: This hit's ordinal among the emitted ones of its probe, from 1.
        self.hit_count = 0
        #: This hit's number in this process, from 1; set when it is logged.
        self.sequence = 0
        self.tags: Tuple[str, ...] = ()
        self.condition: Optional[str] = None
        self.thread_id = 0
        self.thread_name = ""
        self.task_name: Optional[str] = None
        self.trace: Optional[TraceContext] = None
        #: True when any limit cut something.
        self.truncated = False
        #: Code and text of a watch or message field that could not be evaluated.
        self.failure: Optional[Tuple[str, str]] = None
        # Tracepoint.
        #: Plain values or `JsonText`.
        self.variables: Dict[str, JsonValue] = {}
        #: Names of the function's parameters, in order.
        self.arguments: Tuple[str, ...] = ()
        #: How many locals the limits left out.
        self.omitted = 0
        #: As `variables`.
        self.watches: List[WatchValue] = []
        self.stack: List[StackFrame] = []
        # Logpoint.
        self.message: Optional[str] = None
        self.template: Optional[str] = None
        self.level = "INFO"
        self.fields: List[FieldValue] = []


class Report(NamedTuple):
    """Something to be told that is not a hit: an error, an agent's start or stop, an audit.

    Becomes one log record. ``attributes`` are flat and primitive already.
    """

    event_name: str
    body: str
    level: str
    attributes: Dict[str, Any]
    timestamp_ns: int
    trace: Optional[TraceContext] = None
