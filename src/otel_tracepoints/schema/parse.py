"""Payload of a create or update call → `Probe`, by the table in `fields`.

The order of the checks is fixed, so that the same bad request gets the same answer everywhere:

1. the payload is an object (`InvalidField`, ``$``);
2. creation only: ``type``, because it decides which fields there are;
3. members that do not exist here, in the order in which they were sent (`UnknownField`);
4. update only: fields that cannot change (`ImmutableField`), in the table's order;
5. all other fields in the table's order, missing ones included (`InvalidField`,
   `InvalidLine`);
6. the expressions: ``condition``, ``message``, ``watch`` (`InvalidCondition`, `InvalidMessage`,
   `InvalidWatch`).
"""

from __future__ import annotations

import uuid
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from otel_tracepoints.errors import ImmutableField, InvalidField, InvalidLine
from otel_tracepoints.expression import parse_condition, parse_template, parse_watch
from otel_tracepoints.model import Probe, ProbeType
from otel_tracepoints.schema.compound import Group
from otel_tracepoints.schema.fields import FIELDS, LINE, TAGS, TYPE, Field, settable
from otel_tracepoints.schema.kinds import invalid, member_path, unknown


def parse_create(payload: Any, type: Optional[ProbeType]) -> Probe:
    """The probe that a create call asks for; its id is a new UUID where none is given.

    Args:
        payload: The call's JSON data.
        type: From the call's path; None to take the payload's (left out: a logpoint if there
            is a ``message``, else a tracepoint).

    Raises:
        InvalidProbe: see the order above.
    """
    members = _members(payload)
    type_ = _type(members, type)
    fields = settable(type_)
    _refuse_unknown(members, [field.name for field in fields], ())
    values: Dict[str, Any] = {"id": str(uuid.uuid4()), "type": type_}
    for field in fields:
        if field.name == "type":
            continue
        path = f"$.{field.name}"
        if field.name in members:
            values[field.attribute] = _read(field, members[field.name], path)
        elif field.required:
            expected = field.kind.expected if field.kind else ""
            raise InvalidField(f"{path} is required: {expected}.", {"field": path, "expected": expected})
    probe = Probe(**values)
    _check_expressions(probe)
    return probe


def parse_update(probe: Probe, payload: Any, redact: Callable[[str], str]) -> Probe:
    """The probe as an update call wants it; nothing but the fields given changes.

    Fields set by the agent are ignored, and a string that equals the redacted form of the
    present one means "unchanged", so that an answer may be edited and sent back.

    Raises:
        InvalidProbe: see the order above.
    """
    members = _members(payload)
    fields = settable(probe.type)
    agent = [field.name for field in FIELDS if field.kind is None]
    _refuse_unknown(
        members,
        [field.name for field in fields if not field.immutable],
        agent + [field.name for field in fields if field.immutable],
    )
    for field in fields:
        if field.immutable and field.name in members:
            _refuse_change(probe, field, members[field.name], redact)
    changes: Dict[str, Any] = {}
    for field in fields:
        if field.immutable or field.name not in members:
            continue
        path = f"$.{field.name}"
        present = getattr(probe, field.attribute)
        if isinstance(field.kind, Group):
            changes[field.attribute] = field.kind.update(present, members[field.name], path)
        else:
            value = _unredacted(members[field.name], present, redact)
            changes[field.attribute] = _read(field, value, path)
    changed = probe.replace(**changes)
    _check_expressions(changed)
    return changed


def parse_tags(payload: Any) -> Tuple[str, ...]:
    """The tags of a call about all points that carry any of them: ``{"tags": [...]}``."""
    members = _members(payload)
    _refuse_unknown(members, ["tags"], ())
    if "tags" not in members:
        raise InvalidField(
            f"$.tags is required: {TAGS.expected}.", {"field": "$.tags", "expected": TAGS.expected}
        )
    return TAGS.read(members["tags"], "$.tags")


def _members(payload: Any) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise invalid("$", "an object")
    return payload


def _type(members: Mapping[str, Any], type_: Optional[ProbeType]) -> ProbeType:
    if "type" in members:
        given = ProbeType(TYPE.read(members["type"], "$.type"))
        if type_ is not None and given is not type_:
            raise invalid("$.type", f"{type_.value}, as the path says")
        return given
    if type_ is not None:
        return type_
    return ProbeType.LOGPOINT if "message" in members else ProbeType.TRACEPOINT


def _refuse_unknown(members: Mapping[str, Any], allowed: Sequence[str], tolerated: Sequence[str]) -> None:
    for name in members:
        if name not in allowed and name not in tolerated:
            raise unknown(member_path("$", str(name)), allowed)


def _refuse_change(probe: Probe, field: Field, value: Any, redact: Callable[[str], str]) -> None:
    present = getattr(probe, field.attribute)
    plain = present.value if isinstance(present, ProbeType) else present
    if type(value) is type(plain) and value == plain:
        return
    if isinstance(value, str) and isinstance(plain, str) and value == redact(plain):
        return
    path = f"$.{field.name}"
    raise ImmutableField(f"{path} cannot change once the point exists.", {"field": path})


def _read(field: Field, value: Any, path: str) -> Any:
    kind = field.kind
    assert kind is not None
    if kind is LINE and type(value) is int and value < 1:
        raise InvalidLine(f"{path} must be {LINE.expected}.", {"field": path, "expected": LINE.expected})
    return kind.read(value, path)


def _unredacted(value: Any, present: Any, redact: Callable[[str], str]) -> Any:
    """The value, with every string that is a present one's redacted form put back."""
    if isinstance(present, str):
        return present if isinstance(value, str) and value == redact(present) else value
    if not isinstance(present, tuple) or not isinstance(value, list):
        return value
    shown = [redact(text) for text in present]
    result: List[Any] = []
    for index, item in enumerate(value):
        # Two secrets may look the same when redacted: the same place means the same one.
        if index < len(shown) and shown[index] == item:
            result.append(present[index])
        elif item in shown and item not in present:
            result.append(present[shown.index(item)])
        else:
            result.append(item)
    return result


def _check_expressions(probe: Probe) -> None:
    if probe.condition is not None:
        parse_condition(probe.condition)
    if probe.message is not None:
        parse_template(probe.message)
    for watch in probe.watch:
        parse_watch(watch)
