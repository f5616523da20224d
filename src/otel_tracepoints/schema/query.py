"""Query strings: tables of parameters, by the same kinds that check a point's fields."""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from otel_tracepoints.errors import InvalidField, MissingSelector
from otel_tracepoints.schema.fields import IDENTIFIER, STATE, TAG, TYPE
from otel_tracepoints.schema.kinds import Flag, Integer, Kind, Number, Path, invalid

#: A long poll never waits longer, in seconds.
MAX_WAIT_SECONDS = 30
DEFAULT_HITS, MAX_HITS = 100, 1000


class Parameter(NamedTuple):
    """A parameter of a query string."""

    name: str
    kind: Kind
    about: str
    repeatable: bool = False
    required: bool = False


NO_PARAMETERS: Tuple[Parameter, ...] = ()
_FILE = Path("the path of a file", low=1)
_TAG = Parameter("tag", TAG, "Points that carry any of the given tags.", repeatable=True)
POINTS_PARAMETERS: Tuple[Parameter, ...] = (
    Parameter("type", TYPE, "Points of this type."),
    Parameter("enabled", Flag(), "Points that are, or are not, enabled."),
    _TAG,
    Parameter("file", _FILE, "Points in this file: its path or a suffix of whole segments."),
    Parameter("state", STATE, "Points in this state."),
)
DELETE_PARAMETERS: Tuple[Parameter, ...] = (
    _TAG,
    Parameter("all", Flag(), "true: every point."),
)
LINES_PARAMETERS: Tuple[Parameter, ...] = (
    Parameter("file", _FILE, "Path or path suffix, as in a create call.", required=True),
)
HITS_PARAMETERS: Tuple[Parameter, ...] = (
    Parameter("after", Integer(0), "Hits with a higher sequence."),
    Parameter("limit", Integer(1, MAX_HITS), f"At most so many; {DEFAULT_HITS} by default."),
    Parameter(
        "wait",
        Number(f"a number from 0 to {MAX_WAIT_SECONDS}", low=0, high=MAX_WAIT_SECONDS),
        "Seconds to wait for a hit where there is none.",
    ),
    Parameter("point", IDENTIFIER, "Hits of this point."),
)


class HitQuery(NamedTuple):
    """Which hits to give, and how long to wait for one (seconds)."""

    after: Optional[int]
    limit: int
    wait: float
    point: Optional[str]


def parse_query(pairs: Sequence[Tuple[str, str]], parameters: Sequence[Parameter]) -> Dict[str, Any]:
    """The checked values of a query string; repeatable ones as tuples.

    Raises:
        InvalidField: ``field`` is the parameter's name.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values: Dict[str, Any] = {}
    for name, text in pairs:
        parameter = known.get(name)
        if parameter is None:
            allowed = ", ".join(known) or "none"
            raise InvalidField(
                f"{name} is not a parameter here. Allowed: {allowed}.",
                {"field": name, "expected": f"one of the parameters: {allowed}"},
            )
        value = parameter.kind.read_text(text, name)
        if parameter.repeatable:
            values[name] = (*values.get(name, ()), value)
        elif name in values:
            raise invalid(name, "given once")
        else:
            values[name] = value
    for parameter in parameters:
        if parameter.required and parameter.name not in values:
            raise InvalidField(
                f"{parameter.name} is required: {parameter.kind.expected}.",
                {"field": parameter.name, "expected": parameter.kind.expected},
            )
    return values


def delete_selector(values: Mapping[str, Any]) -> Tuple[Tuple[str, ...], bool]:
    """(tags, all) that checked parameters of ``DELETE /points`` ask for.

    Raises:
        MissingSelector: neither is given, or ``all=false`` alone.
        InvalidField: both are given.
    """
    tags: Tuple[str, ...] = values.get("tag", ())
    if tags and "all" in values:
        raise invalid("all", "left out where tag is given")
    if not tags and not values.get("all"):
        raise MissingSelector(
            "Say which points to delete: tag=…, or all=true.", {"allowed": ["tag", "all=true"]}
        )
    return tags, not tags


def hit_query(values: Mapping[str, Any]) -> HitQuery:
    """What checked parameters of ``GET /hits`` ask for."""
    return HitQuery(
        after=values.get("after"),
        limit=values.get("limit", DEFAULT_HITS),
        wait=values.get("wait", 0.0),
        point=values.get("point"),
    )
