"""Who sends: the OpenTelemetry resource under which hits leave, true to the process that they come from.

The SDK alone says neither the host nor the process nor the runtime, and a forked child goes on
with its parent's resource. What the application or the environment says is never changed, but
for what a fork made wrong: the process id, and an instance id that was drawn at random.
"""

from __future__ import annotations

import copy
import os
import platform
import socket
import sys
import uuid
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from opentelemetry import trace as trace_api
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan

from otel_tracepoints.version import NAME, VERSION

#: https://opentelemetry.io/docs/specs/semconv/resource/
_SERVICE_NAME = "service.name"
_INSTANCE = "service.instance.id"
_PID = "process.pid"

#: The process in which this was loaded: any other is a fork of it.
_HOME = os.getpid()


class _Known(NamedTuple):
    """A resource that was worked out: from which, in which process."""

    base: Resource
    pid: int
    resource: Resource


_known: Optional[_Known] = None
_known_span: Optional[_Known] = None
_own: Optional[Resource] = None
#: Process id → the instance id drawn there.
_drawn: Dict[int, str] = {}
#: Instance id → the process where it was first seen. A newer SDK changes it after a fork, an older does not.
_seen: Dict[str, int] = {}


def current_resource() -> Resource:
    """The resource of the application's provider, or what the environment says; completed.

    Asked again for each batch: the application may configure its SDK after the agent started.
    The first call belongs on the control path: the SDK detects resources in threads, which
    cannot be had any more at the interpreter's exit.
    """
    global _known
    base = getattr(trace_api.get_tracer_provider(), "resource", None)
    if not isinstance(base, Resource):
        base = _detected()
    known = _known
    if known is None or known.base is not base or known.pid != os.getpid():
        corrected = _corrections(base.attributes)
        complete = {**missing_attributes(base.attributes), **base.attributes, **corrected}
        known = _known = _Known(base, os.getpid(), Resource(complete, base.schema_url))
    return known.resource


def service_name() -> Optional[str]:
    """``service.name`` of the resource under which hits leave."""
    name = current_resource().attributes.get(_SERVICE_NAME)
    return name if isinstance(name, str) else None


def environment_attributes() -> Mapping[str, Any]:
    """What ``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_SERVICE_NAME`` say."""
    return dict(OTELResourceDetector().detect().attributes)


def missing_attributes(present: Mapping[str, Any]) -> Dict[str, Any]:
    """What describes this process and is not there yet."""
    facts = {
        "host.name": socket.gethostname(),
        _PID: os.getpid(),
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        _INSTANCE: _instance(),
    }
    if "telemetry.distro.name" not in present:
        facts.update({"telemetry.distro.name": NAME, "telemetry.distro.version": VERSION})
    return {name: value for name, value in facts.items() if name not in present}


def in_this_process(spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
    """The spans of a forked child as its own: their provider still has the parent's resource."""
    if os.getpid() == _HOME:
        return spans
    return [_moved(span) for span in spans]


def _moved(span: ReadableSpan) -> ReadableSpan:
    global _known_span
    base, known = span.resource, _known_span
    if known is None or known.base is not base or known.pid != os.getpid():
        corrected = {**base.attributes, **_corrections(base.attributes)}
        known = _known_span = _Known(base, os.getpid(), Resource(corrected, base.schema_url))
    moved = copy.copy(span)
    moved._resource = known.resource
    return moved


def _corrections(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """What a fork made wrong."""
    corrected: Dict[str, Any] = {}
    instance, pid = attributes.get(_INSTANCE), os.getpid()
    first_seen_here = isinstance(instance, str) and _seen.setdefault(instance, pid) == pid
    if pid == _HOME:
        return corrected
    if attributes.get(_PID) == _HOME:
        corrected[_PID] = pid
    if not first_seen_here and _is_random(instance) and _INSTANCE not in environment_attributes():
        corrected[_INSTANCE] = _instance()
    return corrected


def _is_random(value: object) -> bool:
    try:
        return isinstance(value, str) and uuid.UUID(value).version == 4
    except ValueError:
        return False


def _instance() -> str:
    pid = os.getpid()
    drawn = _drawn.setdefault(pid, str(uuid.uuid4()))
    _seen[drawn] = pid
    return drawn


def _detected() -> Resource:
    global _own
    if _own is None:
        try:
            _own = Resource.create()
        except RuntimeError:
            return Resource.get_empty()
    return _own
