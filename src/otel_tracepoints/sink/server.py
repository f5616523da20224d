"""The sink as one object: start it, ask it for its port, stop it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Callable, List, Optional, Type, Union

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink.app import SinkApp
from otel_tracepoints.sink.body import Limits
from otel_tracepoints.sink.caller import is_loopback
from otel_tracepoints.sink.event import Event
from otel_tracepoints.sink.intake import Intake
from otel_tracepoints.sink.store import EventStore, MemoryStore
from otel_tracepoints.sink.worker import Worker

if TYPE_CHECKING:
    from otel_tracepoints.sink.forward import Forwarder
    from otel_tracepoints.sink.listening import Listener

#: Seconds that the parts of a sink have to end, one after the other: together about one.
_STOP_LISTENING = 1.0
_STOP_WORKING = 0.3
_STOP_FORWARDING = 0.4
_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - compared with, not listened on


class SinkServer:
    """An OTLP receiver on one port, for gRPC and HTTP, that keeps what probes sent.

    In its own process it is ``otel-tracepoints sink``; in a test or a demo::

        with SinkServer(port=0) as sink:
            ...  # DEBUGIN_EVENT_SINK_URL=sink.url
            sink.store.find(EventFilter(name="probe.hit.snapshot"))

    Args:
        host: Address or name to listen on; on others than loopback everybody can read the events.
        port: 0 is any free one.
        store: A file for the events (SQLite), or an `EventStore`; None keeps the last 10 000 in
            memory.
        forward: Base URL of another OTLP receiver that gets every request too.
        on_events: Called with new events, in one thread, in order; must not block for long.
        limits: What one request may cost.

    Raises:
        ConfigError: the file or the URL cannot be used.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 4317,
        *,
        store: Union[str, EventStore, None] = None,
        forward: Optional[str] = None,
        on_events: Optional[Callable[[List[Event]], None]] = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits
        self._forwarder = None if forward is None else _forwarder(forward)
        self.store: EventStore = _open(store)
        self.intake = Intake(self.store, self._forwarder, on_events)
        self._writer = Worker("otel-tracepoints-sink-write")
        self._reader = Worker("otel-tracepoints-sink-read")
        self._listener: Optional[Listener] = None
        self._stopped = False

    def start(self) -> SinkServer:
        """Listen and serve, in threads of this process; returns itself. Once only.

        Raises:
            ConfigError: the address or port cannot be used, or the extra is not installed.
        """
        try:
            from otel_tracepoints.sink.listening import Listener, listen
        except ImportError as error:
            raise _not_installed(error) from None
        try:
            socket = listen(self._host, self._port)
        except ConfigError:
            self.store.close()
            raise
        bound_to, self._port = socket.getsockname()[:2]
        loopback = is_loopback(bound_to)
        if self._forwarder is not None and self._is_this(self._forwarder):
            socket.close()
            self.store.close()
            raise ConfigError("The sink cannot forward to itself.", {"variable": "--forward"})
        app = SinkApp(self.intake, self.store, self._writer, self._reader, loopback, self._limits)
        self._writer.start()
        self._reader.start()
        if self._forwarder is not None:
            self._forwarder.start()
        self._listener = Listener(app, socket)
        self._listener.start()
        return self

    def stop(self) -> bool:
        """End within about a second, whatever clients do; may be called twice.

        What was acknowledged is in the store; requests not passed on by then are dropped. Returns
        whether all threads ended; a daemon thread may be left in the middle of a huge request.
        """
        if self._listener is None or self._stopped:
            return True
        self._stopped = True
        ended = self._listener.stop(_STOP_LISTENING)
        ended = self._writer.stop(_STOP_WORKING) and ended
        ended = self._reader.stop(_STOP_WORKING) and ended
        if self._forwarder is not None:
            self._forwarder.stop(_STOP_FORWARDING)
        if ended:
            self.store.close()
        return ended

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._port

    @property
    def serving(self) -> bool:
        """Whether clients are being answered."""
        return self._listener is not None and self._listener.alive

    @property
    def url(self) -> str:
        """Base URL of this sink, for ``DEBUGIN_EVENT_SINK_URL`` and for browsers."""
        host = {_ANY_IPV4: "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def _is_this(self, forwarder: Forwarder) -> bool:
        target = forwarder.upstream
        return target.port == self._port and (target.host == self._host or is_loopback(target.host))

    def __enter__(self) -> SinkServer:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()


def _open(store: Union[str, EventStore, None]) -> EventStore:
    if store is None:
        return MemoryStore()
    if not isinstance(store, str):
        return store
    from otel_tracepoints.sink.sqlite import SQLiteStore

    return SQLiteStore(store)


def _forwarder(url: str) -> Forwarder:
    try:
        from otel_tracepoints.sink.forward import Forwarder
    except ImportError as error:
        raise _not_installed(error) from None
    return Forwarder(url)


def _not_installed(error: ImportError) -> ConfigError:
    return ConfigError(
        f"The sink needs packages that are not installed ({error.name}): "
        "pip install 'otel-tracepoints[sink]'.",
        {"variable": "sink"},
    )
