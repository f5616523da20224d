"""A control API that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

Reply = Tuple[int, Union[bytes, Dict[str, Any]]]

#: What it may answer for a point.
POINT: Dict[str, Any] = {
    "id": "p1",
    "type": "tracepoint",
    "file": "shop/cart.py",
    "line": 42,
    "resolved": {"file": "/srv/shop/cart.py", "line": 42, "functions": ["shop.cart.total"]},
    "condition": "a > 1",
    "tags": ["t"],
    "enabled": True,
    "rateLimit": {"limitPerSecond": 10, "burst": 10},
    "snapshot": {"maxDepth": 3},
    "watch": ["b"],
    "maxHits": None,
    "expireSeconds": 3600,
    "state": "active",
    "error": None,
    "created": "2026-11-20T10:00:00.000Z",
    "lastHit": None,
    "hitCount": 3,
    "counts": {"emitted": 3, "conditionFalse": 97},
}


class Request(NamedTuple):
    method: str
    target: str
    headers: Dict[str, str]
    body: bytes

    def document(self) -> Any:
        return json.loads(self.body) if self.body else None


class FakeControlApi:
    """``replies`` maps ``"METHOD /path"`` to a status and a body, or to a function that makes them."""

    def __init__(self) -> None:
        self.requests: List[Request] = []
        self.replies: Dict[str, Union[Reply, Callable[[Request], Reply]]] = {}
        self.content_type = "application/json"
        self.url = ""

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        path = request.target.partition("?")[0]
        reply = self.replies.get(f"{request.method} {path}")
        if reply is None:
            return 404, {"error": f"There is no {path}.", "code": "NOT_FOUND", "details": {}}
        return reply(request) if callable(reply) else reply


def error(code: str, sentence: str, **details: Any) -> Dict[str, Any]:
    return {"error": sentence, "code": code, "details": details}


@contextlib.contextmanager
def fake_control_api(port: int = 0) -> Iterator[FakeControlApi]:
    api = FakeControlApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = api.reply(Request(self.command, self.path, headers, body))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", api.content_type)
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if status != 204:
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", port), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextlib.contextmanager
def raw_server(answer: Optional[bytes]) -> Iterator[str]:
    """Listens, answers every connection with these bytes (None: nothing, ever) and no HTTP of its own."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    over = threading.Event()
    held: List[socket.socket] = []

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                continue
            if answer is None:
                held.append(connection)
                continue
            with connection:
                connection.settimeout(2)
                with contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join(5)
        listener.close()
        for connection in held:
            connection.close()
