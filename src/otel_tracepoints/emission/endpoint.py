"""Where the sink is, as the settings say it."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what looking up a host would import, in whichever thread
import ssl
from typing import Mapping, NamedTuple, Optional
from urllib.parse import SplitResult, urlsplit

from otel_tracepoints.errors import ConfigError


class Endpoint(NamedTuple):
    """Where the sink is, and how to speak to it."""

    host: str
    port: int
    path: str
    #: Over TLS.
    secure: bool
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
        port = port if port is not None else (443 if secure else 80)
        host = parts.hostname or "127.0.0.1"
        endpoint = cls(host, port, path, secure, certificate, dict(headers), _shown(parts))
        if secure:
            try:
                endpoint.tls_context()
            except OSError as error:
                raise ConfigError(f"DEBUGIN_EVENT_SINK_CERTIFICATE: {error}") from None
        return endpoint

    def tls_context(self) -> ssl.SSLContext:
        """What TLS needs, for one connection: a certificate that was renewed holds from the next on.

        Raises OSError for a certificate that cannot be used.
        """
        return ssl.create_default_context(cafile=self.certificate)


def _shown(parts: SplitResult) -> str:
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}{parts.path}"
