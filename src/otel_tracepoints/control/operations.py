"""One method a call of the API: checked request in, answer out."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional
from urllib.parse import quote

from otel_tracepoints.control.openapi import document
from otel_tracepoints.control.parking import Exchange
from otel_tracepoints.control.target import Target
from otel_tracepoints.model import ProbeType
from otel_tracepoints.probes.registry import PointFilter
from otel_tracepoints.schema.body import decode_json
from otel_tracepoints.schema.parse import parse_tags
from otel_tracepoints.schema.query import HitQuery, delete_selector, hit_query

_PUBLIC_HEALTH = ("status", "state", "agent")


class Call(NamedTuple):
    """A request that may be served.

    Attributes:
        query: Checked values.
        body: Bytes, not decoded yet.
        full: The caller may see all of ``/health``.
        exchange: How to wait without a thread; None: in this thread.
    """

    id: str
    query: Mapping[str, Any]
    body: bytes
    full: bool
    exchange: Optional[Exchange]


#: JSON, in ASCII.
encode: Callable[[Any], str] = json.JSONEncoder(allow_nan=False).encode


class Encoded(List[str]):
    """A list in an answer whose items are JSON already."""


class Answer(NamedTuple):
    """What is answered; ``changed`` (points) and ``probe_id`` are for the audit."""

    data: Any
    location: Optional[str] = None
    changed: int = 0
    probe_id: Optional[str] = None


class Operations:
    """The calls; names are those of `routes.Route.operation`."""

    def __init__(self, target: Target, health: Callable[[], Dict[str, Any]]) -> None:
        self._target = target
        self._health = health

    def health(self, call: Call) -> Answer:
        """All that is known, or what anyone may know."""
        health = self._health()
        if not call.full:
            health = {name: health[name] for name in _PUBLIC_HEALTH}
        return Answer(health)

    def list_points(self, call: Call) -> Answer:
        """All points that pass the filter."""
        wanted = self._target.each_point(
            PointFilter(
                type=call.query.get("type"),
                enabled=call.query.get("enabled"),
                tags=call.query.get("tag", ()),
                file=call.query.get("file"),
                state=call.query.get("state"),
            )
        )
        # Encoded one by one: thousands at once would have the collector look through the whole heap.
        points = Encoded(map(encode, wanted))
        return Answer({"points": points, "total": len(points)})

    def create_tracepoint(self, call: Call) -> Answer:
        """A new tracepoint."""
        return self._create(call, ProbeType.TRACEPOINT)

    def create_logpoint(self, call: Call) -> Answer:
        """A new logpoint."""
        return self._create(call, ProbeType.LOGPOINT)

    def _create(self, call: Call, type_: ProbeType) -> Answer:
        point = self._target.create(decode_json(call.body), type_)
        location = "/points/" + quote(point["id"], safe=":")
        return Answer(point, location, changed=1, probe_id=point["id"])

    def validate_point(self, call: Call) -> Answer:
        """What a create call would answer."""
        return Answer(self._target.validate(decode_json(call.body)))

    def get_point(self, call: Call) -> Answer:
        """One point."""
        return Answer(self._target.point(call.id))

    def update_point(self, call: Call) -> Answer:
        """Change what is given."""
        return Answer(self._target.update(call.id, decode_json(call.body)), changed=1)

    def patch_point(self, call: Call) -> Answer:
        """The same."""
        return self.update_point(call)

    def delete_point(self, call: Call) -> Answer:
        """Remove one point."""
        self._target.delete(call.id)
        return Answer(None, changed=1)

    def delete_points(self, call: Call) -> Answer:
        """Remove points by tag, or all."""
        tags, everything = delete_selector(call.query)
        removed = self._target.delete_many(tags, all=everything)
        return Answer({"removed": removed}, changed=removed)

    def enable_point(self, call: Call) -> Answer:
        """Switch one point on."""
        return self._switch(call, True)

    def disable_point(self, call: Call) -> Answer:
        """Switch one point off."""
        return self._switch(call, False)

    def _switch(self, call: Call, enabled: bool) -> Answer:
        changed = self._target.set_enabled(call.id, enabled)
        word = "enabled" if enabled else "disabled"
        answer = {"id": call.id, "enabled": enabled, "message": f"The point is {word}."}
        return Answer(answer, changed=int(changed))

    def enable_tags(self, call: Call) -> Answer:
        """Switch points on by tag."""
        return self._switch_tags(call, True)

    def disable_tags(self, call: Call) -> Answer:
        """Switch points off by tag."""
        return self._switch_tags(call, False)

    def _switch_tags(self, call: Call, enabled: bool) -> Answer:
        tags = parse_tags(decode_json(call.body))
        changed = self._target.set_enabled_by_tags(tags, enabled)
        word = "enabled" if enabled else "disabled"
        noun = "point" if changed == 1 else "points"
        return Answer({word: changed, "message": f"{changed} {noun} {word}."}, changed=changed)

    def explain_point(self, call: Call) -> Answer:
        """Why hits do or do not arrive."""
        return Answer(self._target.explain(call.id))

    def list_lines(self, call: Call) -> Answer:
        """Lines that a create call accepts."""
        return Answer(self._target.lines(call.query["file"]))

    def list_hits(self, call: Call) -> Answer:
        """A page of hits, or an empty one and a mark on the exchange that it should wait."""
        query: HitQuery = hit_query(call.query)
        exchange = call.exchange
        if exchange is None or not query.wait:
            return Answer(self._target.hits(query.after, query.limit, query.wait, query.point))
        page = self._target.hits(query.after, query.limit, 0.0, query.point)
        if not page["hits"]:
            exchange.wait_for_hit(query)
        return Answer(page)

    def sleep(self, _call: Call) -> Answer:
        """All probes off."""
        return Answer({"state": self._target.sleep()})

    def wake(self, _call: Call) -> Answer:
        """All probes on."""
        return Answer({"state": self._target.wake()})

    def openapi(self, _call: Call) -> Answer:
        """The OpenAPI document."""
        return Answer(document())
