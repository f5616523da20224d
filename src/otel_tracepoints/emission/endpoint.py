"""Where the sink is, and whether it speaks HTTP/2 or HTTP/1 there."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what looking up a host would import, in whichever thread
import socket
import ssl
from typing import Mapping, NamedTuple, Optional
from urllib.parse import SplitResult, urlsplit

from otel_tracepoints.emission.http2 import PREFACE
from otel_tracepoints.errors import ConfigError

#: HTTP/2's opening words and empty settings.
_OPENING = PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME = 4


class Endpoint(NamedTuple):
    """Where the sink is, and how to speak to it."""

    host: str
    port: int
    path: str
    tls: Optional[ssl.SSLContext]
    certificate: Optional[str]
    headers: Mapping[str, str]
    #: The URL without credentials, fit to be shown.
    shown: str

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str], certificate: Optional[str]) -> Endpoint:
        """From the settings. Raises ConfigError for a URL or certificate that cannot be used."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise ConfigError(f"DEBUGIN_EVENT_SINK_URL: the port of {_shown(parts)} is no number") from None
        secure = parts.scheme.lower() == "https"
        path = parts.path.rstrip("/")
        tls: Optional[ssl.SSLContext] = None
        if secure:
            try:
                tls = ssl.create_default_context(cafile=certificate)
            except OSError as error:
                raise ConfigError(f"DEBUGIN_EVENT_SINK_CERTIFICATE: {error}") from None
        return cls(
            parts.hostname or "127.0.0.1",
            port if port is not None else (443 if secure else 80),
            path,
            tls,
            certificate,
            dict(headers),
            _shown(parts),
        )


def _shown(parts: SplitResult) -> str:
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}{parts.path}"


def speaks_http2(endpoint: Endpoint, timeout: float) -> Optional[bool]:
    """Whether HTTP/2 (gRPC) is spoken there, or HTTP/1; None if it does not say.

    A server of either kind answers HTTP/2's opening words in its own way at once: with a
    SETTINGS frame, or with an HTTP/1 error (which need not begin with a status line: Python's
    own server takes the words for HTTP/0.9). Raises OSError if nothing listens.
    """
    with socket.create_connection((endpoint.host, endpoint.port), timeout) as plain:
        connection: socket.socket = plain
        if endpoint.tls is not None:
            context = ssl.create_default_context(cafile=endpoint.certificate)
            context.set_alpn_protocols(["h2", "http/1.1"])
            connection = context.wrap_socket(plain, server_hostname=endpoint.host)
            chosen = connection.selected_alpn_protocol()
            if chosen is not None:
                connection.close()
                return bool(chosen == "h2")
        try:
            connection.sendall(_OPENING)
            begin = connection.recv(9)
        except OSError:
            return None
    if len(begin) < 4:
        return None
    return begin[3] == _SETTINGS_FRAME
