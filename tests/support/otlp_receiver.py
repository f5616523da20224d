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

import gzip
import http.server
import json
import threading
import time
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from tests.support.grpc_server import Call, GrpcServer
from tests.support.otlp_decode import records_of
from tests.support.ports import closed_port as closed_port
from tests.support.tls import server_context

SIGNALS = ("traces", "logs", "metrics")

#: Answers an HTTP status; over gRPC it becomes the code that means the same.
Rule = Callable[[str, bytes], int]


#: What an HTTP status is in gRPC, and the words that servers use for it.
_GRPC = {
    400: (3, "malformed"),
    401: (16, "who are you"),
    404: (12, "unknown service"),
    413: (8, "grpc: received message larger than max (9 vs. 4)"),
    429: (8, "slow down"),
    502: (14, "bad gateway"),
    503: (14, "come back later"),
}


class Request(NamedTuple):
    """One export that arrived: the body is decompressed, headers are lower-case."""

    signal: str
    body: bytes
    content_type: str
    headers: Dict[str, str]
    status: int


def grpc_available() -> bool:
    """Whether this interpreter can import grpcio, to be spoken to or with."""
    try:
        import grpc  # noqa: F401
    except ImportError:
        return False
    return True


def _signal(method: str) -> str:
    # /opentelemetry.proto.collector.trace.v1.TraceService/Export
    package = method.split(".")[3] if method.count(".") > 4 else ""
    return {"trace": "traces"}.get(package, package)


class OtlpReceiver:
    """A sink. ``protocol`` is ``http`` or ``grpc``; ``rule`` decides each answer (default: 200).

    gRPC is served by grpcio where there is one, which knows nothing of how we speak it; otherwise,
    and with TLS, by `GrpcServer`.
    """

    def __init__(
        self, protocol: str = "http", *, port: int = 0, rule: Optional[Rule] = None, tls: bool = False
    ) -> None:
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
        self._taken: Dict[str, List[Dict[str, Any]]] = {signal: [] for signal in SIGNALS}
        self._decoded = 0
        self._server: Any = None
        if protocol != "grpc":
            self.port = self._serve_http(port, tls)
        elif grpc_available() and not tls:
            self.port = self._serve_grpcio(port)
        else:
            self.port = self._serve_grpc(port, tls)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

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
        if isinstance(server, GrpcServer):
            server.__exit__()
        elif self.protocol == "grpc":
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
        return list(self._decode()._taken["traces"])

    def logs(self) -> List[Dict[str, Any]]:
        """Every log record that was accepted, in order."""
        return list(self._decode()._taken["logs"])

    def metrics(self) -> List[Dict[str, Any]]:
        """Every metric that was accepted, in order."""
        return list(self._decode()._taken["metrics"])

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
                        f"{len(self._taken['traces'])} spans, {len(self._taken['logs'])} logs"
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

    def _serve_http(self, port: int, tls: bool) -> int:
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
        if tls:
            self._server.socket = server_context().wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self._server.server_address[1])

    def _serve_grpc(self, port: int, tls: bool) -> int:
        def behave(call: Call) -> None:
            signal = _signal(call.headers[":path"])
            status = self._take(signal, call.body[5:], "application/grpc", call.headers)
            code, text = _GRPC.get(status, (0, ""))
            answer = self._answer(signal, False)
            call.answer(str(code), text, b"\0" + len(answer).to_bytes(4, "big") + answer)

        self._server = GrpcServer(behave, port=port, tls=server_context("h2") if tls else None)
        return int(self._server.port)

    def _serve_grpcio(self, port: int) -> int:
        from concurrent import futures

        import grpc

        receiver = self
        codes = {code.value[0]: code for code in grpc.StatusCode}

        class Handlers(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                signal = _signal(details.method)

                def export(body: bytes, context: Any) -> bytes:
                    headers = {str(k): str(v) for k, v in context.invocation_metadata()}
                    status = receiver._take(signal, body, "application/grpc", headers)
                    if status != 200:
                        code, text = _GRPC[status]
                        context.abort(codes[code], text)
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
                    found = records_of(request.signal, request.body, request.content_type)
                    self._taken[request.signal].extend(found)
        return self
