"""A gRPC server made of a socket and h2, which behaves as a test tells it to.

    with GrpcServer(lambda call: call.answer()) as server:
        ...  # speak to server.port
        assert server.bodies == [b"…"]

The function is called, in the connection's thread, once a whole request has arrived (or, with
``early=True``, as soon as its headers have).
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any, Callable, Dict, List, Optional

import h2.config
import h2.connection
import h2.events
import h2.settings


class Call:
    """One request, and ways to answer it."""

    def __init__(self, peer: Peer, stream: int, number: int) -> None:
        self.peer = peer
        self.stream = stream
        #: Which request of the server's life this is, from 0.
        self.number = number
        self.headers: Dict[str, str] = {}
        self.body = b""

    def answer(self, status: str = "0", message: str = "", body: bytes = b"\0\0\0\0\0") -> None:
        """Headers, a message and trailers; only headers for an error, as gRPC servers do it."""
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        trailers = [("grpc-status", status), *([("grpc-message", message)] if message else [])]
        connection = self.peer.http2
        if status != "0":
            connection.send_headers(self.stream, headers + trailers, end_stream=True)
        else:
            connection.send_headers(self.stream, headers)
            connection.send_data(self.stream, body)
            connection.send_headers(self.stream, trailers, end_stream=True)
        self.peer.flush()

    def answer_as_web_server(self, status: str) -> None:
        """A status of HTTP, and nothing of gRPC."""
        self.peer.http2.send_headers(self.stream, [(":status", status)], end_stream=True)
        self.peer.flush()


class Peer:
    """One connection's server side."""

    def __init__(self, sock: socket.socket, server: GrpcServer) -> None:
        self.socket = sock
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._server = server
        self._calls: Dict[int, Call] = {}

    def flush(self) -> None:
        """Send what h2 wants to send."""
        self.socket.sendall(self.http2.data_to_send())

    def raw(self, kind: int, payload: bytes, flags: int = 0, stream: int = 0) -> None:
        """Send a frame past h2."""
        head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
        self.socket.sendall(head + payload)

    def goaway(self, last_stream: int) -> None:
        """Say that no stream after this one will be served; the others still are."""
        self.raw(7, last_stream.to_bytes(4, "big") + bytes(4))

    def hang_up(self) -> None:
        """End the connection now."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Until the other side ends it."""
        if self._server.window is not None:
            window = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: self._server.window}
            self.http2.local_settings = h2.settings.Settings(client=False, initial_values=window)
        self.http2.initiate_connection()
        self.flush()
        while True:
            data = self.socket.recv(65536)
            if not data:
                return
            for event in self.http2.receive_data(data):
                self._take(event)
            self.flush()

    def _take(self, event: Any) -> None:
        server = self._server
        if isinstance(event, h2.events.RequestReceived):
            call = self._calls[event.stream_id] = Call(self, event.stream_id, len(server.calls))
            call.headers = {
                k if isinstance(k, str) else k.decode(): v if isinstance(v, str) else v.decode()
                for k, v in event.headers
            }
            server.calls.append(call)
            if server.early:
                server.behave(call)
        elif isinstance(event, h2.events.DataReceived):
            self._calls[event.stream_id].body += event.data
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded) and not server.early:
            server.behave(self._calls[event.stream_id])


class GrpcServer:
    """Listens on a port of 127.0.0.1; every connection gets a thread."""

    def __init__(
        self,
        behave: Callable[[Call], Any] = Call.answer,
        *,
        early: bool = False,
        window: Optional[int] = None,
        tls: Optional[ssl.SSLContext] = None,
        port: int = 0,
    ) -> None:
        self.behave = behave
        self.early = early
        self.window = window
        self.calls: List[Call] = []
        self.connections = 0
        self._tls = tls
        self._sockets: List[socket.socket] = []
        self._threads: List[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(16)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._start(self._accept)

    @property
    def bodies(self) -> List[bytes]:
        """The messages that arrived whole, without their frame of five bytes."""
        return [call.body[5:] for call in self.calls]

    def __enter__(self) -> GrpcServer:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in list(self._threads):
            thread.join(5)
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._tls is None:
                    Peer(connection, self).serve()
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secure:
                        Peer(secure, self).serve()
            except (OSError, h2.exceptions.H2Error):
                pass
