"""OpenTelemetry → DebugIn envelope, from the OTLP data alone, so any back end could do the same.

The attributes are those of ``docs/telemetry.md``. What is not there is None, never invented.
Beyond the envelope's contract, and only where there is something to say, a payload also has
``watches`` (``[{"expression", "value"}]``) and ``truncated`` (true).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional

from otel_tracepoints import semconv
from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.event import EVENT_NAMES, Event
from otel_tracepoints.sink.function_name import split_function_name
from otel_tracepoints.sink.otlp import Signal

_WANTED = frozenset(EVENT_NAMES)
#: Names of this sink's event ids (UUID version 5); drawn once, fixed for ever.
_NAMESPACE = uuid.UUID("6d3f7a52-1c55-4a0e-9d0c-6c1a0b3f3f9e")
_TRACEBACK_LINE = re.compile(r'\s*File "(.*)", line (\d+), in (.*)')
#: Resource attributes of the semantic conventions, which `semconv` does not have: the agent
#: leaves them to OpenTelemetry's own resource detectors.
_HOST_NAME = "host.name"
_SERVICE_NAME = "service.name"
_SERVICE_INSTANCE_ID = "service.instance.id"
_SDK_LANGUAGE = "telemetry.sdk.language"
_DISTRO_VERSION = "telemetry.distro.version"
_RUNTIME_NAME = "process.runtime.name"
_RUNTIME_VERSION = "process.runtime.version"


def is_event(name: str) -> bool:
    """Whether a span event or log record of this name is one of the seven event types."""
    return name in _WANTED


def events_of(signals: List[Signal]) -> List[Event]:
    """The events in ``signals``, whose names are all events, in their order.

    Ids are made from the data, so a delivery that is repeated gives the same ids again. Signals
    alike in everything within one delivery are told apart by their order.
    """
    seen: Dict[str, int] = {}
    events = []
    for signal in signals:
        key = _identity(signal)
        seen[key] = seen.get(key, 0) + 1
        events.append(
            Event(
                signal.name,
                signal.time_unix_nano // 1_000_000,
                str(uuid.uuid5(_NAMESPACE, f"{key}/{seen[key]}")),
                _client(signal),
                _PAYLOADS[signal.name](signal),
            )
        )
    return events


def _identity(signal: Signal) -> str:
    facts = (
        signal.name,
        signal.time_unix_nano,
        signal.trace_id,
        signal.span_id,
        signal.resource.get(_SERVICE_NAME),
        signal.resource.get(_SERVICE_INSTANCE_ID),
        sorted(signal.attributes.items()),
        signal.body,
    )
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("ascii")).hexdigest()


def _client(signal: Signal) -> Dict[str, Any]:
    resource = signal.resource
    return {
        "hostname": _string(resource.get(_HOST_NAME)),
        "applicationName": _string(resource.get(_SERVICE_NAME)),
        "applicationInstanceId": _string(resource.get(_SERVICE_INSTANCE_ID)),
        "agentVersion": signal.agent_version or _string(resource.get(_DISTRO_VERSION)),
        "runtime": _string(resource.get(_SDK_LANGUAGE)) or _string(resource.get(_RUNTIME_NAME)),
        "runtimeVersion": _string(resource.get(_RUNTIME_VERSION)),
    }


def _place(signal: Signal) -> Dict[str, Any]:
    attributes = signal.attributes
    return {
        "probeId": attributes.get(semconv.PROBE_ID),
        "probeType": attributes.get(semconv.PROBE_TYPE),
        "file": attributes.get(semconv.CODE_FILE_PATH),
        "line": attributes.get(semconv.CODE_LINE_NUMBER),
    }


def _hit(signal: Signal, inner: Dict[str, Any]) -> Dict[str, Any]:
    attributes = signal.attributes
    payload = _place(signal)
    function = split_function_name(
        _string(attributes.get(semconv.CODE_FUNCTION_NAME)) or "", _string(payload["file"]) or ""
    )
    payload["method"] = function.method
    payload["className"] = function.class_name
    payload["condition"] = attributes.get(semconv.PROBE_CONDITION)
    payload.update(inner)
    payload["stack"] = _stack(_string(attributes.get(semconv.CODE_STACKTRACE)) or "")
    payload["hitCount"] = attributes.get(semconv.PROBE_HIT_COUNT)
    tags = attributes.get(semconv.PROBE_TAGS)
    payload["tags"] = tags if isinstance(tags, list) else []
    payload["traceId"] = signal.trace_id
    payload["spanId"] = signal.span_id
    watches = _watches(attributes)
    if watches:
        payload["watches"] = watches
    if attributes.get(semconv.PROBE_TRUNCATED) is True:
        payload["truncated"] = True
    return payload


def _snapshot(signal: Signal) -> Dict[str, Any]:
    prefix = semconv.PROBE_VARIABLE_PREFIX
    variables = {
        name[len(prefix) :]: _parsed(value)
        for name, value in signal.attributes.items()
        if name.startswith(prefix)
    }
    named = signal.attributes.get(semconv.PROBE_ARGUMENTS)
    arguments = {}
    for name in named if isinstance(named, list) else []:
        bare = str(name).lstrip("*")
        if bare in variables:
            arguments[bare] = variables.pop(bare)
    return _hit(signal, {"snapshot": {"locals": variables, "arguments": arguments}})


def _logpoint(signal: Signal) -> Dict[str, Any]:
    attributes = signal.attributes
    return _hit(
        signal,
        {
            "message": _message(signal),
            "messageTemplate": attributes.get(semconv.PROBE_MESSAGE_TEMPLATE),
            "fields": _numbered(attributes, semconv.PROBE_FIELD_PREFIX),
        },
    )


def _message(signal: Signal) -> Any:
    return signal.attributes.get(semconv.PROBE_MESSAGE) if signal.body is None else signal.body


def _error(signal: Signal) -> Dict[str, Any]:
    payload = _place(signal)
    said = signal.attributes.get(semconv.EXCEPTION_MESSAGE)
    payload["error"] = _message(signal) if said is None else said
    payload["errorType"] = signal.attributes.get(semconv.EXCEPTION_TYPE)
    return payload


def _rate_limit(signal: Signal) -> Dict[str, Any]:
    payload = _error(signal)
    payload["limit"] = signal.attributes.get(semconv.PROBE_RATE_LIMIT)
    payload["droppedCount"] = signal.attributes.get(semconv.PROBE_DROPPED_COUNT)
    payload["message"] = _message(signal)
    return payload


def _started(signal: Signal) -> Dict[str, Any]:
    return {
        "message": _message(signal),
        "engine": signal.attributes.get(semconv.PROBE_ENGINE),
        "features": _parsed(signal.attributes.get(semconv.PROBE_AGENT_FEATURES)),
    }


def _stopped(signal: Signal) -> Dict[str, Any]:
    return {
        "message": _message(signal),
        "uptime": signal.attributes.get(semconv.PROBE_AGENT_UPTIME),
        "totalProbes": signal.attributes.get(semconv.PROBE_AGENT_PROBES),
        "totalEvents": signal.attributes.get(semconv.PROBE_AGENT_EVENTS),
    }


_PAYLOADS: Dict[str, Callable[[Signal], Dict[str, Any]]] = {
    semconv.EVENT_SNAPSHOT: _snapshot,
    semconv.EVENT_LOGPOINT: _logpoint,
    semconv.EVENT_ERROR_CONDITION: _error,
    semconv.EVENT_ERROR_SNAPSHOT: _error,
    semconv.EVENT_ERROR_RATE_LIMIT: _rate_limit,
    semconv.EVENT_STARTED: _started,
    semconv.EVENT_STOPPED: _stopped,
}


def _string(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def _stack(traceback: str) -> List[Dict[str, Any]]:
    # The traceback's last line is the line of the probe; the envelope begins with it.
    frames = [_TRACEBACK_LINE.fullmatch(line) for line in traceback.split("\n")]
    return [
        {"file": frame.group(1), "line": _line_number(frame.group(2)), "method": frame.group(3)}
        for frame in reversed(frames)
        if frame is not None
    ]


def _line_number(digits: str) -> int:
    return int(digits[:9])


def _watches(attributes: Mapping[str, Any]) -> List[Dict[str, Any]]:
    prefix, suffix = semconv.PROBE_WATCH_PREFIX, semconv.PROBE_WATCH_EXPRESSION_SUFFIX
    found = {}
    for name in attributes:
        number = name[len(prefix) :]
        if name.startswith(prefix) and _is_number(number):
            found[int(number)] = {
                "expression": attributes.get(name + suffix),
                "value": _parsed(attributes[name]),
            }
    return [found[number] for number in sorted(found)]


def _numbered(attributes: Mapping[str, Any], prefix: str) -> List[Any]:
    found = {
        int(name[len(prefix) :]): value
        for name, value in attributes.items()
        if name.startswith(prefix) and _is_number(name[len(prefix) :])
    }
    return [found.get(number) for number in range(max(found) + 1)] if found else []


def _is_number(text: str) -> bool:
    # Four digits: nobody interpolates ten thousand fields, and a list that long is an attack.
    return text.isascii() and text.isdigit() and len(text) <= 4


def _parsed(value: Any) -> Any:
    """The value of a JSON text; the text itself where it is none that could be written again."""
    if not isinstance(value, str):
        return value
    try:
        return json_text.parse(value)
    except ValueError:
        return value
