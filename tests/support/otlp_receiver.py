"""An OTLP receiver inside the test's process: real sockets, gRPC or HTTP, as kind or as cruel as asked.

    with OtlpReceiver("http") as sink:
        ...  # send to sink.url
        sink.wait_for(lambda: len(sink.events("probe.hit.snapshot")) == 3)

What it took is read back in one shape, whatever the protocol was:

* span: ``{"name", "trace_id", "span_id", "parent_id", "kind", "start", "end", "attributes",
  "events": [{"name", "time", "attributes"}], "resource", "scope", "schema_url"}``
* log: ``{"event_name", "body", "severity", "severity_text", "time", "trace_id", "span_id",
  "attributes", "resource", "scope", "schema_url"}``
* metric: ``{"name", "unit", "points": [{"attributes", "value"}], "resource", "scope"}``
"""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import socket
import threading
import time
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

SIGNALS = ("traces", "logs", "metrics")

#: What a rule answers: an HTTP status. Over gRPC it becomes the code that means the same.
Rule = Callable[[str, bytes], int]


class Request(NamedTuple):
    """One export that arrived: the body is decompressed, headers are lower-case."""

    signal: str
    body: bytes
    content_type: str
    headers: Dict[str, str]
    status: int


def grpc_available() -> bool:
    """Whether this interpreter can import grpc."""
    try:
        import grpc  # noqa: F401
    except ImportError:
        return False
    return True


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OtlpReceiver:
    """A sink. ``protocol`` is ``http`` or ``grpc``; ``rule`` decides each answer (default: 200)."""

    def __init__(self, protocol: str = "http", *, port: int = 0, rule: Optional[Rule] = None) -> None:
        self.protocol = protocol
        self.rule: Rule = rule or (lambda signal, body: 200)
        #: Records that each accepted request's answer reports as rejected.
        self.partially_rejected = 0
        #: Requests wait here before they are answered; clear it for a sink that never answers.
        self.gate = threading.Event()
        self.gate.set()
        #: Set as soon as any request has arrived.
        self.arrived = threading.Event()
        self.requests: List[Request] = []
        self._changed = threading.Condition()
        self._spans: List[Dict[str, Any]] = []
        self._logs: List[Dict[str, Any]] = []
        self._metrics: List[Dict[str, Any]] = []
        self._decoded = 0
        self._server: Any = None
        if protocol == "grpc":
            self.port = self._serve_grpc(port)
        else:
            self.port = self._serve_http(port)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> OtlpReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; what arrived can still be read."""
        self.gate.set()
        server, self._server = self._server, None
        if server is None:
            return
        if self.protocol == "grpc":
            server.stop(0).wait(5)
        else:
            server.shutdown()
            server.server_close()

    def refuse(self, status: int, times: Optional[int] = None, signals: Tuple[str, ...] = SIGNALS) -> None:
        """Answer with this status, ``times`` times (None: always), then accept again."""
        left = [times]

        def rule(signal: str, body: bytes) -> int:
            if signal not in signals or left[0] == 0:
                return 200
            if left[0] is not None:
                left[0] -= 1
            return status

        self.rule = rule

    # What arrived and was accepted.

    def spans(self) -> List[Dict[str, Any]]:
        """Every span that was accepted, in order."""
        return list(self._decode()._spans)

    def logs(self) -> List[Dict[str, Any]]:
        """Every log record that was accepted, in order."""
        return list(self._decode()._logs)

    def metrics(self) -> List[Dict[str, Any]]:
        """Every metric that was accepted, in order."""
        return list(self._decode()._metrics)

    def events(self, name: Optional[str] = None) -> List[Dict[str, Any]]:
        """Span events with this name (None: all), each with its ``span``; then log records likewise."""
        found = [{**event, "span": span} for span in self.spans() for event in span["events"]]
        found += [{**log, "name": log["event_name"]} for log in self.logs()]
        return [event for event in found if name is None or event["name"] == name]

    def wait_for(self, condition: Callable[[], Any], timeout: float = 10.0) -> Any:
        """Wait until the condition is true (looked at after each request); its value, or an AssertionError."""
        deadline = time.monotonic() + timeout
        while True:
            seen = len(self.requests)
            value = condition()
            if value:
                return value
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"not seen within {timeout} s: {len(self.requests)} requests, "
                        f"{len(self._spans)} spans, {len(self._logs)} logs"
                    )
                self._changed.wait_for(lambda seen=seen: len(self.requests) > seen, min(left, 0.5))

    # Serving.

    def _take(self, signal: str, body: bytes, content_type: str, headers: Dict[str, str]) -> int:
        self.arrived.set()
        self.gate.wait(60)
        status = self.rule(signal, body)
        with self._changed:
            self.requests.append(Request(signal, body, content_type, headers, status))
            self._changed.notify_all()
        return status

    def _serve_http(self, port: int) -> int:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                encoding = self.headers.get("Content-Encoding", "")
                if encoding == "gzip":
                    body = gzip.decompress(body)
                elif encoding == "deflate":
                    body = zlib.decompress(body)
                signal = self.path.rsplit("/", 1)[-1]
                headers = {name.lower(): value for name, value in self.headers.items()}
                headers[":path"] = self.path
                content_type = headers.get("content-type", "")
                status = receiver._take(signal, body, content_type, headers) if signal in SIGNALS else 404
                as_json = content_type.startswith("application/json")
                answer = receiver._answer(signal, as_json) if status == 200 else b""
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", content_type or "text/plain")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self._server.server_address[1])

    def _serve_grpc(self, port: int) -> int:
        from concurrent import futures

        import grpc

        receiver = self
        codes = {
            400: (grpc.StatusCode.INVALID_ARGUMENT, "malformed"),
            401: (grpc.StatusCode.UNAUTHENTICATED, "who are you"),
            404: (grpc.StatusCode.UNIMPLEMENTED, "unknown service"),
            413: (grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (9 vs. 4)"),
            429: (grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down"),
            503: (grpc.StatusCode.UNAVAILABLE, "come back later"),
        }

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                # /opentelemetry.proto.collector.trace.v1.TraceService/Export
                package = details.method.split(".")[3] if details.method.count(".") > 4 else ""
                signal = {"trace": "traces"}.get(package, package)

                def export(body: bytes, context: Any) -> bytes:
                    headers = {str(k): str(v) for k, v in context.invocation_metadata()}
                    status = receiver._take(signal, body, "application/grpc", headers)
                    if status != 200:
                        context.abort(*codes[status])
                    return receiver._answer(signal, False)

                return grpc.unary_unary_rpc_method_handler(export)

        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 4 << 20)]
        )
        self._server.add_generic_rpc_handlers((Handlers(),))
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
        return int(bound)

    def _answer(self, signal: str, as_json: bool) -> bytes:
        rejected = self.partially_rejected
        if as_json:
            key = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}
            partial = {"partialSuccess": {key[signal]: str(rejected)}} if rejected else {}
            return json.dumps(partial).encode()
        if not rejected:
            return b""
        # field 1 (partial_success), length-delimited: field 1 (rejected_…), varint
        inner = b"\x08" + bytes([rejected])
        return b"\x0a" + bytes([len(inner)]) + inner

    # Reading back.

    def _decode(self) -> OtlpReceiver:
        with self._changed:
            fresh, self._decoded = self.requests[self._decoded :], len(self.requests)
            for request in fresh:
                if request.status == 200:
                    self._decode_one(request)
        return self

    def _decode_one(self, request: Request) -> None:
        if request.content_type.startswith("application/json"):
            document = json.loads(request.body)
        else:
            document = _from_protobuf(request.signal, request.body)
        if request.signal == "traces":
            for resource, scope, schema_url, span in _flatten(
                document, "resourceSpans", "scopeSpans", "spans"
            ):
                self._spans.append(_span(resource, scope, schema_url, span))
        elif request.signal == "logs":
            for resource, scope, schema_url, log in _flatten(
                document, "resourceLogs", "scopeLogs", "logRecords"
            ):
                self._logs.append(_log(resource, scope, schema_url, log))
        else:
            for resource, scope, _, metric in _flatten(
                document, "resourceMetrics", "scopeMetrics", "metrics"
            ):
                self._metrics.append(_metric(resource, scope, metric))


def _from_protobuf(signal: str, body: bytes) -> Dict[str, Any]:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    message = {
        "traces": trace_service_pb2.ExportTraceServiceRequest,
        "logs": logs_service_pb2.ExportLogsServiceRequest,
        "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }[signal]()
    message.ParseFromString(body)
    document = json_format.MessageToDict(message, use_integers_for_enums=True)
    return _ids_as_hex(document)


def _ids_as_hex(value: Any) -> Any:
    """Protobuf's own JSON has ids in base64; OTLP's JSON has them in hex."""
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex()
            if key in ("traceId", "spanId", "parentSpanId")
            else _ids_as_hex(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_ids_as_hex(item) for item in value]
    return value


def _flatten(
    document: Dict[str, Any], resources: str, scopes: str, records: str
) -> List[Tuple[Any, Any, str, Any]]:
    return [
        (resource.get("resource", {}), scope.get("scope", {}), scope.get("schemaUrl", ""), record)
        for resource in document.get(resources, [])
        for scope in resource.get(scopes, [])
        for record in scope.get(records, [])
    ]


def _value(value: Dict[str, Any]) -> Any:
    for key, item in value.items():
        if key == "intValue":
            return int(item)
        if key == "doubleValue":
            return float(item)
        if key == "arrayValue":
            return [_value(entry) for entry in item.get("values", [])]
        if key == "kvlistValue":
            return _attributes(item.get("values", []))
        return item
    return None


def _attributes(pairs: List[Dict[str, Any]]) -> Dict[str, Any]:
    names = [pair["key"] for pair in pairs]
    assert len(names) == len(set(names)), f"an attribute is there twice: {names}"
    return {pair["key"]: _value(pair.get("value", {})) for pair in pairs}


def _origin(resource: Any, scope: Any) -> Dict[str, Any]:
    return {
        "resource": _attributes(resource.get("attributes", [])),
        "scope": {"name": scope.get("name", ""), "version": scope.get("version", "")},
    }


def _span(resource: Any, scope: Any, schema_url: str, span: Any) -> Dict[str, Any]:
    return {
        "name": span.get("name", ""),
        "trace_id": span.get("traceId", ""),
        "span_id": span.get("spanId", ""),
        "parent_id": span.get("parentSpanId", ""),
        "kind": span.get("kind", 0),
        "start": int(span.get("startTimeUnixNano", 0)),
        "end": int(span.get("endTimeUnixNano", 0)),
        "attributes": _attributes(span.get("attributes", [])),
        "events": [
            {
                "name": event.get("name", ""),
                "time": int(event.get("timeUnixNano", 0)),
                "attributes": _attributes(event.get("attributes", [])),
            }
            for event in span.get("events", [])
        ],
        "schema_url": schema_url,
        **_origin(resource, scope),
    }


def _log(resource: Any, scope: Any, schema_url: str, log: Any) -> Dict[str, Any]:
    attributes = _attributes(log.get("attributes", []))
    return {
        "event_name": log.get("eventName") or attributes.get("event.name", ""),
        "body": _value(log.get("body", {})),
        "severity": log.get("severityNumber", 0),
        "severity_text": log.get("severityText", ""),
        "time": int(log.get("timeUnixNano", 0)),
        "trace_id": log.get("traceId", ""),
        "span_id": log.get("spanId", ""),
        "attributes": attributes,
        "schema_url": schema_url,
        **_origin(resource, scope),
    }


def _metric(resource: Any, scope: Any, metric: Any) -> Dict[str, Any]:
    data = metric.get("sum") or metric.get("gauge") or metric.get("histogram") or {}
    points = []
    for point in data.get("dataPoints", []):
        value = point.get("asInt", point.get("asDouble", point.get("count", 0)))
        points.append({"attributes": _attributes(point.get("attributes", [])), "value": float(value)})
    return {
        "name": metric.get("name", ""),
        "unit": metric.get("unit", ""),
        "points": points,
        **_origin(resource, scope),
    }
