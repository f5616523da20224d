"""A running agent and the model of it, taken through the same steps."""

from __future__ import annotations

import collections
import importlib
import json
import os
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import otel_tracepoints
from tests.support.live import Live, TargetMaker, ok, refused
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.probe_model import OVER_AT_ONCE, Model, Place, Point, wide_open
from tests.support.probe_program import OWNERS, SOURCE, Program, tags_of

#: The actions in audit records, by what is done.
_SWITCHES = {True: "enable", False: "disable"}


class Session:
    """One history. Each step asserts what the API answers; `compare` asserts everything else."""

    def __init__(self, mechanism: str, sink: OtlpReceiver, target: TargetMaker) -> None:
        self.mechanism, self.sink = mechanism, sink
        self.programs = {which: Program(target(SOURCE)) for which in ("main", "late")}
        self.forks = self.restarts = 0
        self.programs["main"].take()
        self._begin([self.programs["main"].name])

    def _begin(self, imported: Sequence[str]) -> None:
        self.spans_before, self.logs_before = len(self.sink.spans()), len(self.sink.logs())
        self.model = Model(imported)
        self.live = Live(self.sink)
        self.api = self.live.api
        self.seen = 0
        #: Hits of forked children, which the sink gets too.
        self.elsewhere: List[Any] = []

    # Definitions.

    def create(self, id: str, which: str, tag: str, type: str, fields: Dict[str, Any]) -> None:
        """A create call; 409 when the id is taken."""
        body = self._body(id, which, tag, fields)
        reply = self.api.post(f"/{type}s", body)
        if id in self.model.points:
            refused(reply, 409, "DUPLICATE_ID")
            self._audit("create", "DUPLICATE_ID")
            return
        assert reply.status == 201, reply.text
        assert reply.headers["location"].endswith(f"/points/{id}")
        self._audit("create")
        self.model.points[id] = Point(id, type, self._place(which, tag), wide_open(fields))
        self._agrees(reply.json)

    def create_wrongly(self, id: str, type: str, fields: Dict[str, Any], wrong: Any) -> None:
        """A create call that is refused."""
        bad, status, code = wrong
        refused(self.api.post(f"/{type}s", {**self._body(id, "main", "body", fields), **bad}), status, code)
        self._audit("create", code)

    def validate(self, id: str, tag: str, type: str, fields: Dict[str, Any]) -> None:
        """A validate call; it answers what create would."""
        reply = self.api.post("/points/validate", {"type": type, **self._body(id, "main", tag, fields)})
        if id in self.model.points:
            refused(reply, 409, "DUPLICATE_ID")
        else:
            assert reply.status == 200, reply.text
            assert (reply.json["id"], reply.json["hitCount"]) == (id, 0)

    def update(self, id: str, changes: Dict[str, Dict[str, Any]], method: str) -> None:
        """A partial update."""
        point = self.model.points.get(id)
        sent = changes[point.type] if point else {}
        reply = self.api.request(method, f"/points/{id}", sent)
        if self._missing(point, reply, "update"):
            return
        assert reply.status == 200, reply.text
        self._audit("update")
        point.change(sent)
        self._agrees(reply.json)

    def update_wrongly(self, id: str, changes: Dict[str, Dict[str, Any]], wrong: Any) -> None:
        """An update of which one field is refused: nothing of it is taken."""
        point = self.model.points.get(id)
        bad, status, code = wrong
        reply = self.api.patch(f"/points/{id}", {**(changes[point.type] if point else {}), **bad})
        if self._missing(point, reply, "update"):
            return
        refused(reply, status, code)
        self._audit("update", code)

    def send_back(self, id: str) -> None:
        """An answer, sent back as it is, changes nothing but the beginning of the time to live."""
        point = self.model.points.get(id)
        answer = self.api.get(f"/points/{id}").json if point else {}
        reply = self.api.put(f"/points/{id}", answer)
        if self._missing(point, reply, "update"):
            return
        self._audit("update")
        point.change({"expireSeconds": point.fields["expireSeconds"]})
        self._agrees(ok(reply))

    def delete(self, id: str) -> None:
        """A delete call."""
        point = self.model.points.pop(id, None)
        reply = self.api.delete(f"/points/{id}")
        if not self._missing(point, reply, "delete"):
            assert reply.status == 204
            self._audit("delete")

    def delete_many(self, tags: Optional[List[str]]) -> None:
        """Deletes by tags, or all."""
        query = [("all", "true")] if tags is None else [("tag", tag) for tag in tags]
        chosen = list(self.model.points.values()) if tags is None else self.model.carrying(tags)
        assert ok(self.api.delete("/points", query)) == {"removed": len(chosen)}
        self._audit("delete")
        for point in chosen:
            del self.model.points[point.id]

    # Switches.

    def switch(self, id: str, on: bool) -> None:
        """Enables or disables one point."""
        point = self.model.points.get(id)
        reply = self.api.post(f"/points/{id}/{_SWITCHES[on]}")
        if self._missing(point, reply, _SWITCHES[on]):
            return
        answer = ok(reply)
        assert (answer["id"], answer["enabled"]) == (id, on)
        self._audit(_SWITCHES[on])
        point.fields["enabled"] = on

    def switch_by_tags(self, tags: List[str], on: bool) -> None:
        """Enables or disables by tags; the answer says how many changed."""
        chosen = [p for p in self.model.carrying(tags) if p.fields["enabled"] is not on]
        answer = ok(self.api.post(f"/tags/{_SWITCHES[on]}", {"tags": tags}))
        assert answer[_SWITCHES[on] + "d"] == len(chosen)
        self._audit(_SWITCHES[on])
        for point in chosen:
            point.fields["enabled"] = on

    def let_expire(self, id: str) -> None:
        """Gives a point next to no time."""
        self.update(
            id, {type: {"expireSeconds": OVER_AT_ONCE} for type in ("tracepoint", "logpoint")}, "PATCH"
        )

    def sleep_or_wake(self, awake: bool) -> None:
        """All off, or on again."""
        action = "wake" if awake else "sleep"
        assert ok(self.api.post(f"/{action}")) == {"state": "awake" if awake else "sleeping"}
        self._audit(action)
        self.model.awake = awake

    # Traffic.

    def is_pending(self) -> bool:
        """Whether the second module has not been imported."""
        return self.programs["late"].name not in self.model.imported

    def call(self, which: str, function: str, n: int, generation: int, threads: int) -> None:
        """The application calls a function; from several threads at once when told so."""
        program = self.programs[which]
        if program.name not in self.model.imported:
            return
        called = program.call(function, n, generation)
        times = threads if threads and function != "ticker" else 1
        if times == 1:
            assert called.call() == called.answer
        else:
            _at_once(times, called.call, called.answer)
        for _ in range(times):
            self._arrived(program, called.arrivals)

    def import_late(self) -> None:
        """The second module is imported."""
        program = self.programs["late"]
        self.model.imported.add(program.name)
        program.target.module  # noqa: B018 - imports it
        self._arrived(program, [("module", 2)])
        self._take(program)

    def reload(self, which: str, body_tags: Sequence[str]) -> None:
        """A module is reloaded: its body runs again, and makes new functions."""
        program = self.programs[which]
        if program.name in self.model.imported:
            importlib.reload(program.target.module)
            self._arrived(program, [(tag, 2) for tag in body_tags])
            self._take(program)

    def _take(self, program: Program) -> None:
        program.take()
        self._arrived(program, program.start_ticker_arrivals())

    def fork(self, function: str, n: int) -> None:
        """A forked child hits for itself, says what it has, sends it, and ends."""
        self.forks += 1
        program = self.programs["main"]
        called = program.call(function, n, -1)
        known = len(self.model.hits)
        parent, self.model = self.model, self.model.copy()
        self._arrived(program, called.arrivals)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as report:
                report.write(self._in_child(called.call))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as report:
            said = report.read()
        assert os.waitpid(child, 0)[1] == 0
        assert said == "as foreseen", said
        self.elsewhere += self.model.hits[known:]
        self.model = parent

    def _in_child(self, call: Callable[[], Any]) -> str:
        try:
            call()
            for answer in self.live.agent.points():
                self._agrees(answer)
            otel_tracepoints.stop()
        except BaseException:  # noqa: BLE001 - told by the parent
            return traceback.format_exc()
        return "as foreseen"

    def restart(self) -> None:
        """Stop leaves nothing, and start begins anew."""
        self.restarts += 1
        imported = self.model.imported
        self.end()
        self._begin(sorted(imported))

    def _arrived(self, program: Program, arrivals: List[Tuple[str, int]]) -> None:
        for tag, n in arrivals:
            self.model.arrive(Place(program.name, tag), n)

    # Comparing.

    def select(
        self, type: Optional[str], enabled: Optional[bool], tags: List[str], state: Optional[str], which: Any
    ) -> None:
        """A filtered list."""
        query: List[Tuple[str, str]] = [("tag", tag) for tag in tags]
        query += [("type", type)] if type else []
        query += [("enabled", json.dumps(enabled))] if enabled is not None else []
        query += [("state", state)] if state else []
        query += [("file", self.programs[which].target.path.name)] if which else []
        answer = ok(self.api.get("/points", query))
        chosen = [
            point.id
            for point in (self.model.carrying(tags) if tags else self.model.points.values())
            if (type is None or point.type == type)
            and (enabled is None or point.fields["enabled"] is enabled)
            and (state is None or self.model.state(point) == state)
            and (which is None or point.place.module == self.programs[which].name)
        ]
        assert ([point["id"] for point in answer["points"]], answer["total"]) == (chosen, len(chosen))

    def compare(self) -> None:
        """Points, hits and health are as foreseen; what nobody watches is as it was compiled."""
        listed = ok(self.api.get("/points"))
        assert [point["id"] for point in listed["points"]] == list(self.model.points)
        assert listed["total"] == len(self.model.points)
        for answer in listed["points"]:
            self._agrees(answer)
        self._compare_hits()
        health = ok(self.api.get("/health"))
        assert health["engine"]["mechanism"] == self.mechanism
        assert health["state"] == ("awake" if self.model.awake else "sleeping")
        out = health["eventSink"]
        taken = out["sent"] + out["queued"] + out["onSpans"]
        _same((taken, out["dropped"]), (len(self.model.hits), 0), "(taken, dropped)")
        _eventually(lambda: not self._unclean(health["engine"]["toolId"]), lambda: self._unclean(None))

    def _compare_hits(self) -> None:
        page = ok(self.api.get("/hits", {"after": self.seen, "limit": 1000}))
        expected = self.model.hits[self.seen :]
        last = self.seen + len(expected)
        sequences = [hit["sequence"] for hit in page["hits"]]
        _same(sequences, list(range(self.seen + 1, last + 1)), "the sequence of hits")
        _same((page["missed"], page["next"]), (0, last), "(missed, next)")
        shown = [
            (hit["point"], hit["message"] if hit["type"] == "logpoint" else hit["variables"]["n"])
            for hit in page["hits"]
        ]
        _same(_counted(shown), _counted((hit.point, hit.shown) for hit in expected), "what hits show")
        self.seen = page["next"]

    def _agrees(self, answer: Dict[str, Any]) -> None:
        point = self.model.points[answer["id"]]
        program = next(p for p in self.programs.values() if p.name == point.place.module)
        state = self.model.state(point)
        expected = {
            **point.fields,
            "type": point.type,
            "file": str(program.target.path),
            "line": program.target.line(point.place.tag),
            "state": state,
            "counts": point.counts,
            "hitCount": point.counts["emitted"],
        }
        for name, value in expected.items():
            _same(answer[name], value, f"{point.id}.{name}")
        _same(answer["error"] and answer["error"]["code"], point.error, f"{point.id}.error")
        assert (answer["lastHit"] is None) == (point.counts["emitted"] == 0)
        if state == "pending":
            assert answer["resolved"] is None
        elif state == "active" and self.model.awake:
            owner = OWNERS[point.place.tag]
            assert answer["resolved"] == {
                "file": expected["file"],
                "line": expected["line"],
                "functions": [f"{program.name}.{owner}" if owner else program.name],
            }

    def _unclean(self, tool_id: Any) -> List[str]:
        found: List[str] = []
        for program in self.programs.values():
            if program.name in self.model.imported:
                found += program.unclean(
                    self.mechanism if tool_id is not None else "",
                    tool_id,
                    lambda name, program=program: self.model.watched(program.name, tags_of(name)),  # type: ignore[misc]
                )
        if not any(self.model.is_on(point) for point in self.model.points.values()):
            if self.mechanism == "settrace" and sys.gettrace() is not None:
                found.append("a trace function is set")
        return found

    def end(self) -> None:
        """Stop the agent: the sink has every hit and every record, and no function differs."""
        otel_tracepoints.stop()
        self.model.points.clear()
        assert self._unclean(None) == []
        arrived = [
            (event["attributes"]["probe.id"], event["attributes"]["probe.hit.count"])
            for event in self._events("probe.hit.snapshot", "probe.hit.logpoint")
        ]
        foreseen = self.model.hits + self.elsewhere
        _same(_counted(arrived), _counted((hit.point, hit.ordinal) for hit in foreseen), "what the sink has")
        audits = [
            (event["attributes"]["probe.audit.action"], event["attributes"]["probe.audit.outcome"])
            for event in self._events("probe.audit")
        ]
        _same(audits, self.model.audits, "the audit")

    def _events(self, *names: str) -> List[Dict[str, Any]]:
        spans = self.sink.spans()[self.spans_before :]
        events = [event for span in spans for event in span["events"]]
        events += [{**log, "name": log["event_name"]} for log in self.sink.logs()[self.logs_before :]]
        return [event for event in events if event["name"] in names]

    # Within.

    def _body(self, id: str, which: str, tag: str, fields: Dict[str, Any]) -> Dict[str, Any]:
        target = self.programs[which].target
        return wide_open({"id": id, "file": str(target.path), "line": target.line(tag), **fields})

    def _place(self, which: str, tag: str) -> Place:
        return Place(self.programs[which].name, tag)

    def _missing(self, point: Optional[Point], reply: Any, action: str) -> bool:
        if point is None:
            refused(reply, 404, "POINT_NOT_FOUND")
            self._audit(action, "POINT_NOT_FOUND")
        return point is None

    def _audit(self, action: str, outcome: str = "ok") -> None:
        self.model.audits.append((action, outcome))


def _same(actual: Any, expected: Any, what: str) -> None:
    """Asserts, and says what differs: pytest explains only what stands in a test's own file."""
    assert actual == expected, f"{what} is {actual!r}; the model has {expected!r}"


def _counted(items: Any) -> Any:
    return collections.Counter(items)


def _at_once(times: int, call: Callable[[], Any], answer: Any) -> None:
    answers: List[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(call())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answer] * times


def _eventually(holds: Callable[[], Any], otherwise: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.002)
