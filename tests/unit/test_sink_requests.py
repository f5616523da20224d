"""The parts that judge a request: posted envelopes, queries, callers, bodies."""

from __future__ import annotations

import asyncio
import copy
import gzip
import zlib
from typing import Any, Dict, List, Tuple

import pytest

from otel_tracepoints.errors import InvalidField, InvalidProbe, UnknownField
from otel_tracepoints.sink.accept import accept_envelope
from otel_tracepoints.sink.body import BodyReader, Budget, Limits, unpack
from otel_tracepoints.sink.caller import check_caller, is_loopback
from otel_tracepoints.sink.event import EVENT_NAMES, EventFilter
from otel_tracepoints.sink.query import read_filter
from otel_tracepoints.sink.refusal import Disconnected, Refusal
from otel_tracepoints.sink.wire import MalformedBody

ENVELOPE: Dict[str, Any] = {
    "name": "probe.hit.snapshot",
    "timestamp": "2026-11-20T10:00:00.123Z",
    "id": "3D5AB9F4-6A6B-4C8E-9E57-1D1E8D7C9C11",
    "client": {
        "hostname": "box",
        "applicationName": "shop",
        "applicationInstanceId": "1",
        "agentVersion": "2.0",
        "runtime": "java",
        "runtimeVersion": "21",
    },
    "payload": {
        "probeId": "p1",
        "probeType": "tracepoint",
        "file": "Cart.java",
        "line": 12,
        "method": "add",
        "className": "Cart",
        "condition": None,
        "snapshot": {"locals": {}, "arguments": {}},
        "stack": [],
        "hitCount": 1,
        "tags": [],
        "traceId": None,
        "spanId": None,
    },
}
PAYLOADS: Dict[str, Dict[str, Any]] = {
    "probe.hit.snapshot": ENVELOPE["payload"],
    "probe.hit.logpoint": {
        "probeId": "p",
        "file": "f",
        "line": 1,
        "message": "m",
        "messageTemplate": "m",
        "fields": {"a": 1},
    },
    "probe.error.condition": {"probeId": "p", "file": "f", "line": 1, "error": "e", "errorType": "t"},
    "probe.error.snapshot": {"probeId": "p", "file": "f", "line": 1, "error": "e", "errorType": "t"},
    "probe.error.rateLimit": {
        "probeId": "p",
        "file": "f",
        "line": 1,
        "limit": 10,
        "droppedCount": 2,
        "message": "m",
    },
    "agent.status.started": {"message": "m", "engine": "jvmti", "features": {"tracepoints": True}},
    "agent.status.stopped": {"message": "m", "uptime": 1.5, "totalProbes": 1, "totalEvents": 0},
}
MISSING = object()


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_other_agents_may_say_less(name: str) -> None:
    """Of a payload only the probe's id must be there; what is not known may be left out or null."""
    for payload in ({"probeId": "p"}, {"probeId": "p", "file": None, "line": None, "message": None}):
        assert accept_envelope({**ENVELOPE, "name": name, "payload": payload}).payload == payload


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_each_event_type_is_accepted(name: str) -> None:
    """An envelope of each of the seven types is taken, and given back as it was but for the id's case."""
    envelope = {**ENVELOPE, "name": name, "payload": {**PAYLOADS[name], "extra": [1]}}
    assert accept_envelope(envelope).envelope() == {**envelope, "id": ENVELOPE["id"].lower()}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), MISSING),
        (("name",), "probe.audit"),
        (("name",), 1),
        (("name",), ["probe.hit.snapshot"]),
        (("timestamp",), MISSING),
        (("timestamp",), "today"),
        (("timestamp",), 1700000000),
        (("timestamp",), None),
        (("timestamp",), "2026-11-20T10:00:00.123+02:00"),
        (("timestamp",), "2026-11-20T10:00:00Z"),
        (("id",), MISSING),
        (("id",), "1"),
        (("id",), "3d5ab9f46a6b4c8e9e571d1e8d7c9c11"),
        (("id",), 5),
        (("client",), MISSING),
        (("client",), []),
        (("client", "hostname"), MISSING),
        (("client", "runtime"), 3),
        (("payload",), MISSING),
        (("payload",), None),
        (("payload", "probeId"), MISSING),
        (("payload", "probeId"), ""),
        (("payload", "line"), 0),
        (("payload", "line"), True),
        (("payload", "line"), "1"),
        (("payload", "line"), 1.0),
        (("payload", "file"), 1),
        (("payload", "file"), ""),
        (("payload", "snapshot"), []),
        (("payload", "tags"), ["a", 1]),
        (("payload", "stack"), {}),
        (("payload", "hitCount"), -1),
        (("payload", "probeType"), "breakpoint"),
        (("payload", "probeType"), []),
    ],
)
def test_what_is_missing_or_wrong_is_named(path: Tuple[str, ...], value: Any) -> None:
    """The error has the JSON path and what was expected there."""
    envelope = copy.deepcopy(ENVELOPE)
    holder = envelope
    for step in path[:-1]:
        holder = holder[step]
    if value is MISSING:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    with pytest.raises(InvalidField) as caught:
        accept_envelope(envelope)
    assert caught.value.details["field"] == "$." + ".".join(path)
    assert caught.value.details["expected"]


@pytest.mark.parametrize(("holder", "path"), [("envelope", "$.sendAck"), ("client", "$.client.sendAck")])
def test_fields_that_do_not_exist_are_refused(holder: str, path: str) -> None:
    """A slip in a field's name is not silently lost."""
    envelope = copy.deepcopy(ENVELOPE)
    (envelope if holder == "envelope" else envelope["client"])["sendAck"] = True
    with pytest.raises(UnknownField) as caught:
        accept_envelope(envelope)
    assert caught.value.details["field"] == path


def test_a_query_is_read() -> None:
    """All parameters at once; empty ones are none; an offset survives an unescaped plus."""
    query = (
        "name=probe.hit.snapshot&probe=p%201&service=shop&trace=AB&since=1970-01-01T01:00:01+01:00&limit=1000"
    )
    assert read_filter(query) == EventFilter("probe.hit.snapshot", "p 1", "shop", "ab", 1000, 1000)
    assert read_filter("name=&probe=&service=&trace=&since=") == read_filter("") == EventFilter()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1.0", "limit"),
        ("limit=\u0661", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("since=yesterday", "since"),
        ("name=x", "name"),
        ("naem=x", "naem"),
        ("probe=a&probe=b", "probe"),
    ],
)
def test_a_bad_query_parameter_is_named(query: str, field: str) -> None:
    """Unknown, repeated and out of range: each is INVALID_FIELD with the parameter's name."""
    with pytest.raises(InvalidProbe) as caught:
        read_filter(query)
    assert (caught.value.code, caught.value.details["field"]) == ("INVALID_FIELD", field)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "127.0.0.1:4317"}, None),
        ({"host": "localhost"}, None),
        ({"host": "[::1]:4317"}, None),
        ({}, None),
        ({"host": "app.localhost:1"}, None),
        ({"host": "localhost:1", "origin": "http://localhost:1"}, None),
        ({"host": "evil.example:4317"}, "FORBIDDEN_HOST"),
        ({"host": "127.0.0.1.evil.example"}, "FORBIDDEN_HOST"),
        ({"host": "localhost:1", "origin": "http://localhost:2"}, "FORBIDDEN_ORIGIN"),
        ({"host": "localhost:1", "origin": "null"}, "FORBIDDEN_ORIGIN"),
        ({"host": "localhost:1", "origin": "http://evil.example"}, "FORBIDDEN_ORIGIN"),
    ],
)
def test_web_pages_are_kept_away_from_loopback(headers: Dict[str, str], code: Any) -> None:
    """Neither DNS rebinding nor a foreign origin reads what was captured; off loopback neither is looked at."""
    check_caller(headers, loopback=False)
    if code is None:
        check_caller(headers, loopback=True)
    else:
        with pytest.raises(Refusal) as caught:
            check_caller(headers, loopback=True)
        assert (caught.value.status, caught.value.code) == (403, code)


def test_loopback_names() -> None:
    """Only what cannot be another host."""
    assert all(
        is_loopback(name) for name in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST.", "[::1]")
    )
    assert not any(
        is_loopback(name)
        for name in ("0.0.0.0", "::", "10.0.0.1", "127.0.0.1.x", "example.com", "", "127.x.0.1")
    )


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("identity", b"hello" * 100),
        ("gzip", gzip.compress(b"hello" * 100)),
        ("deflate", zlib.compress(b"hello" * 100)),
        ("deflate", _raw_deflate(b"hello" * 100)),
        ("gzip", gzip.compress(b"hello" * 40) + gzip.compress(b"hello" * 60)),
    ],
)
def test_content_codings(encoding: str, packed: bytes) -> None:
    """Both gzip (of several members, too) and deflate as zlib or bare are unpacked, up to the very limit."""
    assert unpack(encoding, packed, 500) == b"hello" * 100
    if encoding != "identity":
        with pytest.raises(Refusal) as caught:
            unpack(encoding, packed, 499)
        assert (caught.value.status, caught.value.code) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b""),
        ("gzip", b"x"),
        ("gzip", gzip.compress(b"a")[:-1]),
        ("deflate", b"\xff\xff"),
        ("deflate", b""),
        ("gzip", gzip.compress(b"a") + b"tail"),
        ("gzip", gzip.compress(b"") * 65),
    ],
)
def test_broken_codings_are_malformed(encoding: str, packed: bytes) -> None:
    """Truncated, foreign and trailing bytes, and a body of endless members."""
    with pytest.raises(MalformedBody):
        unpack(encoding, packed, 1 << 20)


def _read(chunks: List[Any], limits: Limits, budget: Budget) -> bytes:
    async def main() -> bytes:
        queue = list(chunks)

        async def receive() -> Dict[str, Any]:
            if not queue:
                await asyncio.Event().wait()
            chunk = queue.pop(0)
            if chunk is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

        with BodyReader(receive, limits, budget) as reader:
            return await reader.read()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("chunks", "status"),
    [([b"12345", b"6", b""], 413), ([b"1" * 100], 413), ([b"1"], 408), ([b"1234", b""], 503)],
)
def test_bodies_are_bounded(chunks: List[bytes], status: int) -> None:
    """Too large (read on up to a point, so that the client sees the answer), too slow, too many at once."""
    budget = Budget(3 if status == 503 else 100)
    with pytest.raises(Refusal) as caught:
        _read(chunks, Limits(body=5, discard=10, seconds=0.05), budget)
    assert (caught.value.status, budget.used) == (status, 0)


def test_a_body_is_read_and_its_memory_given_back() -> None:
    """Exactly the limit is fine; a client that goes away is noticed."""
    budget = Budget(5)
    assert _read([b"123", b"45", b""], Limits(body=5, seconds=5), budget) == b"12345"
    with pytest.raises(Disconnected):
        _read([b"123", None], Limits(body=5, seconds=5), budget)
    assert budget.used == 0
