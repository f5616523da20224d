"""An event loop that knows the connections its servers took, so that they can be counted and cut."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, Callable, List

#: Connections at one time; who comes after that is hung up on. An exporter needs one or two.
MAX_CONNECTIONS = 512
#: Seconds that a client which closed its side may still wait for its answer.
_LINGER = 5.0


class ConnectionLoop(asyncio.SelectorEventLoop):
    """A selector loop (the one kind that every platform has) with a list of incoming connections."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        super().__init__()
        self._max_connections = max_connections
        self._incoming: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def create_server(self, protocol_factory: Callable[[], Any], *args: Any, **options: Any) -> Any:
        """As in `asyncio`, but remembers each connection while it is open."""

        def observed() -> Any:
            protocol = protocol_factory()
            made, ended = protocol.connection_made, protocol.eof_received
            taken: List[asyncio.Transport] = []

            def connection_made(transport: asyncio.Transport) -> None:
                open_now = sum(not known.is_closing() for known in self._incoming)
                self._incoming.add(transport)
                taken.append(transport)
                made(transport)
                if open_now >= self._max_connections:
                    transport.abort()

            def eof_received() -> Any:
                # hypercorn keeps a connection that its client closed until the keep-alive is over.
                for transport in taken:
                    self.call_later(_LINGER, transport.abort)
                return ended()

            protocol.connection_made = connection_made
            protocol.eof_received = eof_received
            return protocol

        return await super().create_server(observed, *args, **options)

    def cut_connections(self) -> None:
        """Close all incoming connections at once; what was not sent yet is lost."""
        for transport in list(self._incoming):
            transport.abort()
