"""The listening side, by waitress, with what this API needs otherwise.

* The loop sleeps until there is something to do; waitress's wakes every second.
* Too many connections: the one idle longest makes room.
* It can be stopped from any thread, and closed in a forked child.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import time
from typing import Any, Callable, Optional, Tuple

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from otel_tracepoints import unpatched
from otel_tracepoints.control.app import MAX_BODY_BYTES
from otel_tracepoints.control.connection import LINGER_SECONDS, Channel
from otel_tracepoints.control.parking import MAX_PARKED, ParkingLot
from otel_tracepoints.control.workers import Workers

_LOGGER = logging.getLogger("otel_tracepoints")

#: Open connections; each is a file descriptor of the application's process.
MAX_CONNECTIONS = MAX_PARKED + 128
#: Bytes of a chunked body with its framing: a chunk may be one byte of content in six.
_MAX_FRAMED_BYTES = 8 * MAX_BODY_BYTES
_MAX_HEADER_BYTES = 64 * 1024
#: Seconds without any traffic after which a connection is closed, and how often that is looked for.
_IDLE_SECONDS, _CLEANUP_SECONDS = 120, 30
_NEVER = 2**31 - 1
#: Seconds before the loop goes on after an error of its own: it must not spin.
_PAUSE_AFTER_ERROR = 0.1


class WireServer(TcpWSGIServer):  # type: ignore[misc]
    """Serves an application on a bound socket. `run` is the loop, in the calling thread.

    Args:
        sock: Bound; this listens on it.
        workers: Answer the requests.
        make_lot: Makes the parking lot, given what wakes the loop.
    """

    channel_class = Channel
    logger = _LOGGER

    def __init__(
        self,
        application: Callable[..., Any],
        sock: socket.socket,
        workers: Workers,
        make_lot: Callable[[Callable[[], None]], ParkingLot],
    ) -> None:
        self._stopping = False
        self._port_closing = False
        self._trigger_lock = unpatched.Lock()
        self._listening = sock
        self._open: Tuple[Optional[socket.socket], ...] = (sock,)
        self.lot = make_lot(self.pull_trigger)
        adjustments = Adjustments(
            sockets=[sock],
            ident="otel-tracepoints",
            backlog=128,
            connection_limit=_NEVER,
            max_request_body_size=_MAX_FRAMED_BYTES,
            max_request_header_size=_MAX_HEADER_BYTES,
            # Never a temporary file: the disk may be full, or not ours to write.
            inbuf_overflow=_NEVER,
            outbuf_overflow=_NEVER,
            # Nor a thread that waits until a slow client has read.
            outbuf_high_watermark=_NEVER,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_CLEANUP_SECONDS,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        super().__init__(
            application,
            map={},
            _sock=sock,
            dispatcher=workers,
            adj=adjustments,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )
        self.trigger.lock = unpatched.Lock()

    def set_reuse_addr(self) -> None:
        """Whoever bound the socket decided that."""

    def handle_accept(self) -> None:
        """Take a connection; the limit is held by closing one that is idle."""
        if len(self.active_channels) >= MAX_CONNECTIONS:
            idle = [channel for channel in self.active_channels.values() if channel.is_idle()]
            if idle:
                min(idle, key=lambda channel: channel.last_activity).handle_close()
            else:
                self._turn_away()
                return
        super().handle_accept()

    def _turn_away(self) -> None:
        try:
            accepted = self.accept()
        except OSError:
            return
        if accepted is not None:
            accepted[0].close()

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            try:
                self._wait(self._timeout())
                if self._port_closing and self.socket is not None:
                    self.handle_close()
                self.lot.expire()
                self._sweep()
            except Exception:
                _LOGGER.exception("The control API's loop failed; it goes on")
                unpatched.sleep(_PAUSE_AFTER_ERROR)
        self.dispose()

    def _wait(self, seconds: Optional[float]) -> None:
        """One round of waitress's loop; with a poll that no greenlet has a part in."""
        if unpatched.poll is None:
            wasyncore.loop(seconds, use_poll=False, map=self._map, count=1)
            return
        polled = unpatched.poll()
        for descriptor, each in list(self._map.items()):
            wanted = select.POLLIN | select.POLLPRI if each.readable() else 0
            if each.writable() and not each.accepting:
                wanted |= select.POLLOUT
            if wanted:
                polled.register(descriptor, wanted)
        for descriptor, events in polled.poll(None if seconds is None else int(seconds * 1000)):
            ready = self._map.get(descriptor)
            if ready is not None:
                wasyncore.readwrite(ready, events)

    def dispose(self) -> None:
        """Close everything that is open; the loop does so at its end."""
        with self._trigger_lock:
            wasyncore.close_all(self._map, ignore_all=True)

    def pull_trigger(self) -> None:
        """Wake the loop. A closed pipe's number may be a file of the application by now."""
        with self._trigger_lock:
            if not self.trigger._closed:
                super().pull_trigger()

    def handle_close(self) -> None:
        """Close the port only; connections stay."""
        wasyncore.dispatcher.close(self)

    def close_port(self) -> None:
        """Take no more connections. From any thread."""
        self._port_closing = True
        sock = self.socket
        try:
            # Closing alone does not: a poll in progress keeps the port open.
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not everywhere possible; the loop closes it
        self.pull_trigger()

    def stop(self) -> None:
        """Close all connections and end the loop. From any thread."""
        self._stopping = True
        self.pull_trigger()

    def note_sockets(self) -> None:
        """Remember what is open, for a child that may be forked at any moment."""
        channels = [channel.socket for channel in self.active_channels.values()]
        self._open = (self._listening, *channels)

    def after_fork_in_child(self) -> None:
        """Close what the child inherited, without touching the parent's.

        Takes no lock, not even a dict's: where there is no GIL, the loop's thread may have held
        it when the process forked, and nobody would ever release it here.
        """
        for sock in self._open:
            if sock is not None:
                # No shutdown, which the parent would see, and no second close by a finaliser.
                _close_descriptor(sock.detach())
        pipe = self.trigger
        if pipe.kind != "pipe" or pipe._closed:
            return
        descriptors = [*pipe._fds, pipe.socket.fd]
        pipe._fds = []
        pipe._closed = True
        pipe.socket.fd = -1
        for descriptor in descriptors:
            _close_descriptor(descriptor)

    def _timeout(self) -> Optional[float]:
        """Seconds until the loop has something to do by itself; None: it has not."""
        timeouts = []
        deadline = self.lot.next_deadline()
        if deadline is not None:
            timeouts.append(max(0.0, deadline - time.monotonic()) + 0.001)
        if self.active_channels:
            timeouts.append(float(_CLEANUP_SECONDS))
        if any(channel.linger_until for channel in self.active_channels.values()):
            timeouts.append(LINGER_SECONDS)
        return min(timeouts, default=None)

    def _sweep(self) -> None:
        """Close what is to be closed; waitress waits for that until the client reads."""
        now = time.monotonic()
        for channel in list(self.active_channels.values()):
            if channel.will_close or (channel.linger_until and now >= channel.linger_until):
                channel.handle_close()


def _close_descriptor(descriptor: int) -> None:
    if descriptor < 0:
        return
    try:
        os.close(descriptor)
    except OSError:
        return
