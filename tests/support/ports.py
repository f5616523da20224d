"""Ports for processes that have not been started yet."""

from __future__ import annotations

import contextlib
import random
import socket


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and that no connection is given meanwhile.

    Those that the system gives out itself (from 32768 on) may be somebody's before a child has it.
    """
    while True:
        port = random.SystemRandom().randrange(10_240, 32_768)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
