"""A listening address: the one that was asked for, or the nearest that can be had."""

from __future__ import annotations

import errno
import os
import socket
from typing import List, Tuple

from otel_tracepoints import unpatched
from otel_tracepoints.errors import ConfigError, ControlApiError

_PORT_IS_TAKEN = (errno.EADDRINUSE, errno.EACCES, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE))


def bind(host: str, port: int) -> Tuple[socket.socket, bool]:
    """A socket bound to this address, and whether another port had to be taken.

    Raises:
        ConfigError: the host's name means no address.
        ControlApiError: the address cannot be had on any port.
    """
    family, address = _address(host)
    try:
        return _bound(family, address, port), False
    except OSError as error:
        if error.errno not in _PORT_IS_TAKEN or port == 0:
            raise _failed(host, error) from None
    try:
        return _bound(family, address, 0), True
    except OSError as error:
        raise _failed(host, error) from None


def _address(host: str) -> Tuple[int, str]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        found = []
    addresses: List[Tuple[int, str]] = [
        (int(family), str(sockaddr[0]))
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    if not addresses:
        allowed = "an address of this host, or a name that means one"
        variable = "DEBUGIN_CONTROL_API_HOST"
        raise ConfigError(f"{variable}: must be {allowed}", {"variable": variable, "allowed": allowed})
    # "localhost" may mean ::1 too; the documented default is the IPv4 one.
    return min(addresses, key=lambda each: each[0] != socket.AF_INET)


def _bound(family: int, address: str, port: int) -> socket.socket:
    sock: socket.socket = unpatched.Socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # Elsewhere this option lets another process take the port from us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
        # Listening here, where a port that somebody else has can still be changed.
        sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(host: str, error: OSError) -> ControlApiError:
    return ControlApiError(f"The control API cannot listen on {host}: {error.strerror}.", {"host": host})
