"""Who may call (control-api.md): this host's users, never a web page, or who has the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import Optional, Tuple

from otel_tracepoints.control.refusal import Refusal

_BEARER = re.compile(r"bearer +(\S+) *\Z", re.IGNORECASE)
_JSON = re.compile(r"application/([a-z0-9!#$&^_.+-]+\+)?json\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_HTTP_PORT = 80


def is_loopback(host: str) -> bool:
    """Whether this name or address can only mean this host, whatever a name server says."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_json(content_type: str) -> bool:
    """Whether a Content-Type declares JSON: a web page cannot send that without asking first."""
    return bool(_JSON.match(content_type.partition(";")[0].strip().lower()))


class Guard:
    """Decides about each request by its headers alone.

    Args:
        token: The bearer token, or None: then only a loopback address may be served.
        port: Our own port, for our own origin.
    """

    def __init__(self, token: Optional[str], port: int) -> None:
        self._token = None if token is None else token.encode("utf-8")
        self._port = port

    def allows_all(self, authorization: str) -> bool:
        """Whether a caller with this header may see what only authorised ones may."""
        return self._token is None or self._authorised(authorization)

    def check(self, *, authorization: str, host: str, origin: Optional[str], is_open: bool) -> None:
        """Let the request pass, or raise `Refusal`.

        Args:
            authorization: The header, or "".
            host: The header, or "".
            origin: The header; None where there is none.
            is_open: The call needs no token.
        """
        if self._token is not None:
            if not is_open and not self._authorised(authorization):
                raise Refusal(
                    "UNAUTHORIZED",
                    # In words that the redaction of answers leaves alone: what follows "bearer" is a secret.
                    "This call needs the control API's token, in the Authorization header.",
                    headers={"WWW-Authenticate": 'Bearer realm="otel-tracepoints"'},
                )
            return
        if not self._own_host(host):
            raise Refusal(
                "FORBIDDEN_HOST", "The Host header is not a loopback name: call 127.0.0.1 or localhost."
            )
        if origin is not None and not self._own_origin(origin):
            raise Refusal("FORBIDDEN_ORIGIN", "Web pages of other origins may not call this API.")

    def _authorised(self, authorization: str) -> bool:
        match = _BEARER.match(authorization)
        # Header text is Latin-1 of the bytes that were sent.
        given = match.group(1).encode("latin-1", "replace") if match else b""
        return self._token is not None and hmac.compare_digest(given, self._token)

    def _own_host(self, host: str) -> bool:
        split = _host_and_port(host)
        return split is not None and is_loopback(split[0])

    def _own_origin(self, origin: str) -> bool:
        scheme, separator, authority = origin.partition("://")
        split = _host_and_port(authority)
        if scheme.lower() != "http" or not separator or split is None:
            return False
        port = _HTTP_PORT if split[1] is None else split[1]
        return is_loopback(split[0]) and port == self._port


def _host_and_port(authority: str) -> Optional[Tuple[str, Optional[int]]]:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port``, and nothing else."""
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        if not bracket:
            return None
        host += "]"
    else:
        host, colon, port = authority.partition(":")
        rest = colon + port
    if not rest:
        return host, None
    if not rest.startswith(":") or not _PORT.match(rest[1:]):
        return None
    return host, int(rest[1:])
