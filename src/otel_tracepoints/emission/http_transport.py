"""OTLP over HTTP/1.1, through ``http.client``: the application's instrumentors patch urllib3 and requests."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import socket
import ssl
from typing import Dict, Optional

from otel_tracepoints.emission.endpoint import Endpoint
from otel_tracepoints.emission.transport import Answer, Verdict, partial_success, reason

#: Bodies above this are compressed: below, it costs more than it saves.
_COMPRESS_ABOVE = 8 * 1024
#: An answer is a status and at most a sentence.
_MAX_ANSWER = 64 * 1024


class HttpTransport:
    """OTLP over HTTP/1.1: one connection, kept open."""

    def __init__(self, endpoint: Endpoint, content_type: str, user_agent: str) -> None:
        self._endpoint = endpoint
        self._headers: Dict[str, str] = {
            "Content-Type": content_type,
            "User-Agent": user_agent,
            **endpoint.headers,
        }
        self._connection: Optional[http.client.HTTPConnection] = None
        self._closed = False
        self._compress = True

    def send(self, signal: str, body: bytes, timeout: float) -> Answer:
        """POST to ``<base>/v1/<signal>``."""
        reused = self._connection is not None
        answer = self._try(signal, body, timeout, reused)
        if answer is None:
            # The server closed an idle connection: that says nothing about the sink.
            answer = self._try(signal, body, timeout, reused=False)
        if answer is not None and answer.compression_refused and self._compress:
            self._compress = False
            answer = self._try(signal, body, timeout, reused=False)
        return answer or Answer(Verdict.RETRY, "the sink broke off", reached=False, broke_off=True)

    def close(self) -> None:
        """Close the connection for good; a request in flight ends with an error."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        sock = connection.sock
        try:
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def abandon(self) -> None:
        """Close this process's copy of the socket and nothing more: the parent's stays as it is."""
        connection, self._connection = self._connection, None
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                os.close(sock.detach())

    def _try(self, signal: str, body: bytes, timeout: float, reused: bool) -> Optional[Answer]:
        headers = dict(self._headers)
        if self._compress and len(body) > _COMPRESS_ABOVE:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            connection = self._connect(timeout)
            connection.request("POST", f"{self._endpoint.path}/v1/{signal}", body, headers)
            response = connection.getresponse()
            data = response.read(_MAX_ANSWER)
            if response.will_close or not response.isclosed():
                self._connection = None
                connection.close()
            return _judge_http(signal, response, data)
        except (
            http.client.RemoteDisconnected,
            ConnectionResetError,
            BrokenPipeError,
            ssl.SSLEOFError,
        ) as error:
            self._drop()
            return None if reused else Answer(Verdict.RETRY, reason(error), reached=False, broke_off=True)
        except http.client.BadStatusLine as error:
            self._drop()
            if str(error.args[0]).startswith("\x00\x00"):
                return Answer(Verdict.OTHER_PROTOCOL, "the sink answers in HTTP/2 (gRPC)")
            return Answer(Verdict.RETRY, "the sink does not answer in HTTP", reached=False)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # AttributeError: closed by another thread in the middle of the request.
            self._drop()
            return Answer(Verdict.RETRY, reason(error), reached=False)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            host, port = self._endpoint.host, self._endpoint.port
            if self._endpoint.secure:
                context = self._endpoint.tls_context()
                connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout)
            self._connection = connection
            if self._closed:  # whoever closes sets it first, and then lets go of what is there
                raise ValueError("the connection was closed")
            connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection


def _judge_http(signal: str, response: http.client.HTTPResponse, data: bytes) -> Answer:
    status = response.status
    if 200 <= status < 300:
        rejected, message = partial_success(signal, data, response.getheader("Content-Type", ""))
        return Answer(Verdict.ACCEPTED, message, rejected)
    error = f"the sink answered {status} {response.reason} to {signal}"
    if status in (429, 502, 503, 504):
        try:
            pause = float(response.getheader("Retry-After", "0"))
        except ValueError:
            pause = 0.0
        return Answer(Verdict.RETRY, error, retry_after=max(0.0, pause), reached=status == 429)
    if status == 413:
        return Answer(Verdict.TOO_LARGE, error)
    if status in (404, 405, 501):
        return Answer(Verdict.UNKNOWN_SIGNAL, error)
    return Answer(Verdict.REFUSED, error, compression_refused=status == 415)
