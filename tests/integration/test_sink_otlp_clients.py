"""The sink against real OTLP clients: OpenTelemetry's gRPC exporter, its encoders over HTTP, JSON, odd ones."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

import h2.config
import h2.connection
import h2.events
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from tests.support.otlp_receiver import OtlpReceiver, grpc_available

from otel_tracepoints.sink import EventFilter, SinkServer
from otel_tracepoints.sink.body import Limits

needs_grpc = pytest.mark.skipif(not grpc_available(), reason="no grpc on this interpreter")
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SNAPSHOT: Dict[str, Any] = {
    "probe.id": "p1",
    "probe.type": "tracepoint",
    "code.file.path": "/srv/shop/cart.py",
    "code.line.number": 12,
    "code.function.name": "shop.cart.Cart.add",
    "probe.arguments": ["n"],
    "probe.variable.n": "2",
    "probe.variable.t": "[1]",
}
Answer = Tuple[int, Dict[str, str], bytes]


@pytest.fixture
def server() -> Iterator[SinkServer]:
    """A sink in memory, with a little patience and small limits."""
    with SinkServer(port=0, limits=Limits(body=1 << 20, discard=1 << 20, seconds=1.0)) as sink:
        yield sink


def call(sink: SinkServer, method: str, path: str, body: Optional[bytes] = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class Recorder(SpanExporter):
    """Keeps finished spans."""

    def __init__(self) -> None:
        self.spans: List[ReadableSpan] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def spans(number: int = 1, name: str = "probe.hit.snapshot") -> List[ReadableSpan]:
    recorder = Recorder()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(recorder))
    for count in range(number):
        with provider.get_tracer("app").start_as_current_span("GET /") as span:
            span.add_event(name, {**SNAPSHOT, "probe.hit.count": count})
    provider.shutdown()
    return recorder.spans


def protobuf(number: int = 1) -> bytes:
    encoded: bytes = encode_spans(spans(number)).SerializeToString()
    return encoded


@needs_grpc
@pytest.mark.parametrize("compression", ["NoCompression", "Gzip", "Deflate"])
def test_the_grpc_exporter_delivers(server: SinkServer, compression: str) -> None:
    """OpenTelemetry's own exporter is content, in each of its compressions."""
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(
        endpoint=server.url, insecure=True, compression=getattr(grpc.Compression, compression)
    )
    try:
        assert exporter.export(spans(3)) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
    page = server.store.find(EventFilter())
    assert [event.payload["hitCount"] for event in page.events] == [2, 1, 0]
    assert page.events[0].payload["snapshot"] == {"locals": {"t": [1]}, "arguments": {"n": 2}}
    assert server.intake.health()["received"] == {"spans": 3, "logs": 0, "events": 3}


@needs_grpc
def test_grpc_refusals(server: SinkServer) -> None:
    """Unknown methods, garbage and oversized messages get gRPC's own codes, and the connection lives on."""
    import grpc

    def code(path: str, data: bytes, **options: Any) -> Any:
        try:
            channel.unary_unary(path)(data, timeout=10, **options)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        assert code("/package.Service/Method", b"x") is grpc.StatusCode.UNIMPLEMENTED
        assert code(TRACES, b"\xff") is grpc.StatusCode.INVALID_ARGUMENT
        assert code(TRACES, b"\0" * ((1 << 20) + 1)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        bomb = b"\x0a" + b"\0" * ((1 << 20) + 1)
        assert code(TRACES, bomb, compression=grpc.Compression.Gzip) is grpc.StatusCode.RESOURCE_EXHAUSTED
        for signal in ("trace.v1.Trace", "logs.v1.Logs", "metrics.v1.Metrics"):
            path = f"/opentelemetry.proto.collector.{signal}Service/Export"
            assert code(path, b"") is grpc.StatusCode.OK


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate", "identity"])
def test_http_protobuf_delivers(server: SinkServer, encoding: Optional[str]) -> None:
    """The official encoder's bytes over HTTP, in each content coding; the answer is protobuf too."""
    packers: Dict[str, Any] = {"gzip": gzip.compress, "deflate": zlib.compress}
    pack = packers.get(encoding or "", bytes)
    headers = {
        "content_type": "application/x-protobuf",
        **({"content_encoding": encoding} if encoding else {}),
    }
    status, answered, body = call(server, "POST", "/v1/traces", pack(protobuf(2)), **headers)
    assert (status, answered["content-type"], body) == (200, "application/x-protobuf", b"")
    assert server.store.stored == 2


def test_http_json_delivers(server: SinkServer) -> None:
    """A log record in JSON with hex ids; the answer is JSON; a parameter of the media type does no harm."""
    record = {
        "timeUnixNano": "1700000000000000000",
        "eventName": "probe.hit.logpoint",
        "body": {"stringValue": "hi"},
        "traceId": "ab" * 16,
        "spanId": "cd" * 8,
        "attributes": [{"key": "probe.id", "value": {"stringValue": "p"}}],
    }
    request = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    status, answered, body = call(
        server, "POST", "/v1/logs", request, content_type="application/json; charset=utf-8"
    )
    assert (status, answered["content-type"], body) == (200, "application/json", b"{}")
    (event,) = server.store.find(EventFilter(trace="ab" * 16)).events
    assert (event.payload["message"], event.payload["spanId"]) == ("hi", "cd" * 8)
    assert call(server, "POST", "/v1/metrics", b"{}", content_type="application/json")[0] == 200


def test_a_delivery_that_is_repeated_counts_twice_and_is_kept_once(server: SinkServer) -> None:
    """A retry whose first try did arrive does not show a hit twice."""
    body = protobuf(2)
    for _ in range(2):
        assert call(server, "POST", "/v1/traces", body, content_type="application/x-protobuf")[0] == 200
    assert server.store.stored == 2
    assert server.intake.health()["received"] == {"spans": 4, "logs": 0, "events": 4}


def test_an_audit_record_counts_as_a_log(server: SinkServer) -> None:
    """It is none of the seven event types."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    pair = record.attributes.add()
    pair.key, pair.value.string_value = "event.name", "probe.audit"
    call(server, "POST", "/v1/logs", request.SerializeToString(), content_type="application/x-protobuf")
    health = server.intake.health()
    assert (health["received"], health["stored"]) == ({"spans": 0, "logs": 1, "events": 0}, 0)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize(
    ("status", "code", "body", "headers"),
    [
        (400, 3, b"\xff", {}),
        (413, 8, b"\0" * ((1 << 20) + 1), {}),
        (400, 3, b"x", {"content_encoding": "gzip"}),
        (413, 8, gzip.compress(b"\0" * (50 << 20)), {"content_encoding": "gzip"}),
        (413, 8, zlib.compress(b"\0" * (50 << 20)), {"content_encoding": "deflate"}),
    ],
    ids=["garbage", "large", "not-gzip", "gzip-bomb", "deflate-bomb"],
)
def test_bad_protobuf_bodies(
    server: SinkServer, path: str, status: int, code: int, body: bytes, headers: Dict[str, str]
) -> None:
    """Bad, too large, or too large once unpacked: the status, and a google.rpc.Status in protobuf."""
    answered = call(server, "POST", path, body, content_type="application/x-protobuf", **headers)
    assert answered[0] == status
    assert answered[1]["content-type"] == "application/x-protobuf"
    assert answered[2][:3] == bytes((0x08, code, 0x12))


@pytest.mark.parametrize(
    ("status", "code", "body", "headers"),
    [
        (400, "MALFORMED_JSON", b"{", {"content_type": "application/json"}),
        (400, "MALFORMED_JSON", b"", {"content_type": "application/json"}),
        (400, "INVALID_FIELD", b'{"resourceSpans": 1}', {"content_type": "application/json"}),
        (413, "BODY_TOO_LARGE", b" " * ((1 << 20) + 1), {"content_type": "application/json"}),
        (415, "UNSUPPORTED_MEDIA_TYPE", b"{}", {"content_type": "text/plain"}),
        (415, "UNSUPPORTED_MEDIA_TYPE", b"{}", {}),
        (
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            b"{}",
            {"content_type": "application/json", "content_encoding": "br"},
        ),
        (415, "UNSUPPORTED_MEDIA_TYPE", b"{}", {"content_type": "application/grpc"}),
    ],
)
def test_bad_json_bodies(
    server: SinkServer, status: int, code: str, body: bytes, headers: Dict[str, str]
) -> None:
    """The control API's error form, with its code."""
    answered = call(server, "POST", "/v1/traces", body, **headers)
    error = json.loads(answered[2])
    assert (answered[0], error["code"], sorted(error)) == (status, code, ["code", "details", "error"])


def test_a_body_of_exactly_the_limit_is_fine(server: SinkServer) -> None:
    """The limit itself is not over it."""
    body = b"{}" + b" " * ((1 << 20) - 2)
    assert call(server, "POST", "/v1/traces", body, content_type="application/json")[0] == 200


def test_a_slow_body_is_ended(server: SinkServer) -> None:
    """A client that starts a body and does not finish gets 408 in the end, and others are served meanwhile."""
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        )
        assert call(server, "GET", "/health")[0] == 200
        slow.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_client_that_goes_away_leaves_nothing(server: SinkServer) -> None:
    """A connection cut in the middle of a body is forgotten, over HTTP/1 and HTTP/2."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(
                b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
            )
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            connection = begin_call(gone)
            connection.send_data(1, b"\0\0\0")
            gone.sendall(connection.data_to_send())
    assert call(server, "GET", "/health")[0] == 200
    assert server.intake.health()["received"]["spans"] == 0


@pytest.mark.parametrize(
    ("message", "extra", "code"),
    [
        (b"\0\0\0\0\0", {}, "0"),
        (b"", {}, "13"),
        (b"\0\0\0\0\5x", {}, "13"),
        (b"\0\0\0\0\0" * 2, {}, "13"),
        (b"\1\0\0\0\0", {}, "13"),
        (b"\1\0\0\0\1x", {"grpc-encoding": "snappy"}, "12"),
        (b"\1\0\0\0\1x", {"grpc-encoding": "gzip"}, "3"),
        (b"\0\xff\xff\xff\xff", {}, "8"),
        (b"\0\0\0\0\0", {"content-type": "application/grpc+json"}, "12"),
        (b"\0\0\0\0\0", {"content-type": "application/grpc+proto"}, "0"),
        (b"\0\0\0\0\0", {":path": "/x/\u20acy"}, "12"),
    ],
)
def test_grpc_on_the_wire(server: SinkServer, message: bytes, extra: Dict[str, str], code: str) -> None:
    """Framing, codings and types that a well-behaved library would never send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        connection = begin_call(client, **extra)
        connection.send_data(1, message, end_stream=True)
        client.sendall(connection.data_to_send())
        trailers: Dict[str, str] = {}
        ended = False
        while not ended:
            for event in connection.receive_data(client.recv(65536)):
                if isinstance(event, h2.events.TrailersReceived):
                    trailers = {str(name): str(value) for name, value in event.headers}
                ended = ended or isinstance(event, h2.events.StreamEnded)
    assert trailers["grpc-status"] == code


def begin_call(client: socket.socket, **extra: str) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    )
    connection.initiate_connection()
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": TRACES,
        ":authority": "127.0.0.1",
        "te": "trailers",
        "content-type": "application/grpc",
        **extra,
    }
    headers[":path"] = (
        headers[":path"].encode().decode("latin-1") if headers[":path"].isascii() else "/x/%E2%82%ACy"
    )
    connection.send_headers(1, list(headers.items()))
    client.sendall(connection.data_to_send())
    return connection


def test_garbage_ends_only_its_own_connection(server: SinkServer) -> None:
    """Bytes that are no HTTP, broken HTTP/2, endless headers: the sink serves on."""
    for garbage in (
        b"\x80\x01\x02\x03" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"GET / HTTP/1.1\r\nx: " + b"a" * 50_000,
        b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        b"\r\n\r\n",
        (
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            try:
                while client.recv(65536):
                    pass
            except OSError:
                pass
        assert call(server, "GET", "/health")[0] == 200


def test_load() -> None:
    """2 000 spans in batches from four clients at once: every one is counted and kept."""
    # Encoding is slow where protobuf is pure Python, so one batch is given twenty services' names.
    encoded = protobuf(100)
    batches = [encoded.replace(b"shop", b"sh%02d" % number) for number in range(20)]
    statuses: List[int] = []
    with SinkServer(port=0) as sink:

        def deliver(mine: List[bytes]) -> None:
            for batch in mine:
                statuses.append(
                    call(
                        sink,
                        "POST",
                        "/v1/traces",
                        gzip.compress(batch),
                        content_type="application/x-protobuf",
                        content_encoding="gzip",
                    )[0]
                )

        threads = [threading.Thread(target=deliver, args=(batches[start::4],)) for start in range(4)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 20
        assert sink.intake.health()["received"] == {"spans": 2000, "logs": 0, "events": 2000}
        assert sink.store.stored == 2000
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("protocol", ["http", pytest.param("grpc", marks=needs_grpc)])
def test_forwarding(protocol: str) -> None:
    """What the sink takes arrives at the next receiver byte for byte; what is refused does not."""
    body = protobuf()
    with OtlpReceiver(protocol) as receiver:
        with SinkServer(port=0, forward=receiver.url) as sink:
            packed = gzip.compress(body)
            for data, encoding in ((body, "identity"), (packed, "gzip"), (b"\xff", "identity")):
                call(
                    sink,
                    "POST",
                    "/v1/traces",
                    data,
                    content_type="application/x-protobuf",
                    content_encoding=encoding,
                )
            receiver.wait_for(lambda: len(receiver.requests) == 2)
        health = sink.intake.health()
        assert [request.body for request in receiver.requests] == [body, body]
    assert (health["dropped"], health["forward"]["sent"]) == (0, 2)


def test_forwarding_to_a_receiver_that_is_down() -> None:
    """The senders notice nothing, and what could not be delivered is counted in ``dropped``."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with SinkServer(port=0, forward=f"http://127.0.0.1:{nobody.getsockname()[1]}") as sink:
            for _ in range(3):
                assert (
                    call(sink, "POST", "/v1/traces", protobuf(), content_type="application/x-protobuf")[0]
                    == 200
                )
        assert sink.intake.health()["dropped"] == 3
        assert sink.intake.health()["stored"] == 3


def test_sinks_forward_to_one_another() -> None:
    """A sink is a receiver like any other: events have the same ids in both."""
    with SinkServer(port=0) as last, SinkServer(port=0, forward=last.url) as first:
        call(first, "POST", "/v1/traces", protobuf(3), content_type="application/x-protobuf")
        deadline = time.monotonic() + 10
        while last.store.stored < 3:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        assert first.store.find(EventFilter()) == last.store.find(EventFilter())
