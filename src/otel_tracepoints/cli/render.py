"""The API's documents as words and short texts. Tolerant: what is missing is left out."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from otel_tracepoints import semconv

#: Levels of a value that are written out; the API itself cuts far earlier.
_DEEPEST = 20

Row = Tuple[str, str]


def value_text(value: Any, depth: int = 0) -> str:
    """A captured value on one line, in the manner of Python (``docs/telemetry.md`` has its JSON)."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return value if value == semconv.REDACTED else repr(value)
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, list):
        return "[" + ", ".join(value_text(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        return _object_text(value, depth)
    return repr(value)


def _object_text(value: Dict[str, Any], depth: int) -> str:
    name = str(value.get(semconv.JSON_TYPE, ""))
    cut = "…" if value.get(semconv.JSON_TRUNCATED) else ""
    size = value.get(semconv.JSON_SIZE)
    if cut and size is not None:
        cut = f"… ({size} in all)"
    if value.get(semconv.JSON_UNBOUND):
        return "<unbound>"
    if value.get(semconv.JSON_CIRCULAR):
        return f"<{name}, seen above>"
    if semconv.JSON_BITS in value:
        return f"<int of {value[semconv.JSON_BITS]} bits>"
    if semconv.JSON_REPR in value:
        shown = str(value[semconv.JSON_REPR])
        return repr(shown) + cut if name in ("str", "bytes") else f"{name} {shown}{cut}"
    if semconv.JSON_ITEMS in value:
        items = value[semconv.JSON_ITEMS]
        inside = [value_text(item, depth + 1) for item in items] if isinstance(items, list) else []
        return f"{name}{{{', '.join(inside + [cut] * bool(cut))}}}"
    fields = [
        (str(key), value_text(item, depth + 1))
        for key, item in value.items()
        if key not in (semconv.JSON_TYPE, semconv.JSON_TRUNCATED, semconv.JSON_SIZE)
    ]
    if name:
        inside = [f"{key}={text}" for key, text in fields]
        return f"{name.rpartition('.')[2]}({', '.join(inside + [cut] * bool(cut))})"
    if cut and not fields:
        return cut
    inside = [f"{key!r}: {text}" for key, text in fields]
    return "{" + ", ".join(inside + [cut] * bool(cut)) + "}"


def mapping(document: Any, name: str) -> Dict[str, Any]:
    """This member if it is an object, else an empty one."""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def sequence(document: Any, name: str) -> List[Any]:
    """This member if it is an array, else an empty one."""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, list) else []


def place(point: Dict[str, Any]) -> str:
    """``file:line`` as the user gave it."""
    return f"{point.get('file')}:{point.get('line')}"


def counts_text(counts: Dict[str, Any]) -> str:
    """``3 emitted, 97 conditionFalse``: the outcomes that happened."""
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no arrival yet"


def error_text(error: Dict[str, Any]) -> str:
    """An error object on one line."""
    if not error:
        return ""
    at = f", at {error['at']}" if error.get("at") else ""
    return f"{error.get('error')} ({error.get('code')}{at})"


def point_summary(point: Dict[str, Any]) -> List[Row]:
    """Where a point stands and what it does."""
    resolved = mapping(point, "resolved")
    where = place(point)
    if resolved:
        where = f"{resolved.get('file')}:{resolved.get('line')}"
    return [
        ("state", str(point.get("state") or "")),
        ("at", where),
        ("in", ", ".join(str(name) for name in sequence(resolved, "functions"))),
        ("condition", str(point.get("condition") or "")),
        ("message", str(point.get("message") or "")),
        ("error", error_text(mapping(point, "error"))),
    ]


def point_facts(point: Dict[str, Any]) -> List[Row]:
    """All that is known of a point."""
    limits, rate = mapping(point, "snapshot"), mapping(point, "rateLimit")
    expire = point.get("expireSeconds")
    return [
        ("id", str(point.get("id"))),
        ("type", str(point.get("type"))),
        ("asked for", place(point)),
        *point_summary(point),
        ("level", str(point.get("level") or "")),
        ("watch", ", ".join(str(item) for item in sequence(point, "watch"))),
        ("tags", ", ".join(str(item) for item in sequence(point, "tags"))),
        ("enabled", "yes" if point.get("enabled") else "no"),
        ("rate limit", f"{rate.get('limitPerSecond')} a second, burst {rate.get('burst')}" if rate else ""),
        ("snapshot", ", ".join(f"{name} {number}" for name, number in limits.items())),
        ("expires", "never" if expire is None else f"after {expire} s"),
        ("max hits", str(point.get("maxHits") or "")),
        ("hits", str(point.get("hitCount", ""))),
        ("arrivals", counts_text(mapping(point, "counts"))),
        ("created", str(point.get("created") or "")),
        ("last hit", str(point.get("lastHit") or "")),
    ]


def duration_text(seconds: Any) -> str:
    """``2 d 3 h``, ``4 min 10 s``, ``12 s``."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < 1e12:
        return ""
    rest = int(seconds)
    parts: List[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, length)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
