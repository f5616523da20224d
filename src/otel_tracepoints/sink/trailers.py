"""Makes hypercorn 0.17, the last one for Python 3.8 and 3.9, send HTTP/2 trailers.

It writes the trailers' HEADERS frame without END_STREAM, which its HTTP/2 library refuses, so the
trailers are lost, and with them every gRPC status. hypercorn 0.18 does what stands here.
"""

from __future__ import annotations

from typing import Any

import h2.exceptions
import hypercorn.protocol
from hypercorn.protocol.events import Trailers
from hypercorn.protocol.h2 import H2Protocol
from priority.priority import MissingStreamError


class _TrailingH2Protocol(H2Protocol):
    async def stream_send(self, event: Any) -> None:
        if not isinstance(event, Trailers):
            await super().stream_send(event)
            return
        try:
            self.priority.unblock(event.stream_id)
            await self.has_data.set()
            # The message goes first; nothing may follow the trailers.
            await self.stream_buffers[event.stream_id].drain()
            self.connection.send_headers(event.stream_id, event.headers, end_stream=True)
            await self._flush()
        except (KeyError, MissingStreamError, h2.exceptions.ProtocolError):
            return  # The client closed the stream, or the connection, in the meantime.


def repair_trailers(hypercorn_version: str) -> None:
    """Put the repair in place where this version of hypercorn needs it; idempotent."""
    if hypercorn_version.startswith("0.17."):
        # The name under which hypercorn looks the class up, for each new connection.
        setattr(hypercorn.protocol, "H2Protocol", _TrailingH2Protocol)  # noqa: B010
