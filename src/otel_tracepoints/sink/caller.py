"""Keeps web pages away from a sink that listens on loopback.

Captured variables are nobody's business but the developer's; any page in the developer's browser
can send requests to 127.0.0.1, and by DNS rebinding also read the answers.
"""

from __future__ import annotations

from typing import Mapping

from otel_tracepoints.sink.refusal import Refusal


def is_loopback(host: str) -> bool:
    """Whether this host name or address can only be reached from the same host."""
    name = host.strip().lower().strip("[]").rstrip(".")
    return name in ("localhost", "::1") or name.endswith(".localhost") or _is_loopback_ipv4(name)


def check_caller(headers: Mapping[str, str], loopback: bool) -> None:
    """Refuse what a web page sent, if the sink listens on loopback; headers are in lower case.

    Raises:
        Refusal: 403, ``FORBIDDEN_HOST`` or ``FORBIDDEN_ORIGIN``.
    """
    if not loopback:
        return
    host = headers.get("host", "")
    if host and not is_loopback(_host_name(host)):
        raise Refusal(403, "FORBIDDEN_HOST", "The Host header does not name this host.")
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise Refusal(403, "FORBIDDEN_ORIGIN", "A web page of another origin may not ask this.")


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0]
    return host.partition(":")[0]


def _is_loopback_ipv4(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isascii() and part.isdigit() for part in parts)
