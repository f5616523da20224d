"""Request bodies: read within limits of size, time and memory, and unpacked within the same."""

from __future__ import annotations

import asyncio
import zlib
from types import TracebackType
from typing import Any, Awaitable, Callable, List, MutableMapping, NamedTuple, Optional, Tuple, Type

from otel_tracepoints.sink.refusal import Disconnected, Refusal
from otel_tracepoints.sink.wire import MalformedBody

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_MIB = 1 << 20
_TOO_LARGE = "BODY_TOO_LARGE"


class Limits(NamedTuple):
    """What one request may cost.

    Attributes:
        body: Bytes of a body, as sent and unpacked; the contract's 16 MiB.
        discard: Bytes beyond it that are still read and thrown away, since most clients look for
            the answer only after they sent everything.
        seconds: How long a body may take to arrive.
        held: Bytes of all bodies being read or waiting to be worked on.
    """

    body: int = 16 * _MIB
    discard: int = 64 * _MIB
    seconds: float = 30.0
    held: int = 128 * _MIB


class Budget:
    """The memory for all bodies together; only ever touched on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


class BodyReader:
    """Reads one body; use it as a context manager, so that its share of the budget is given back."""

    def __init__(self, receive: Receive, limits: Limits, budget: Budget) -> None:
        self._receive = receive
        self._limits = limits
        self._budget = budget
        self._held = 0

    def __enter__(self) -> BodyReader:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._release()

    async def read(self, framing: int = 0) -> bytes:
        """The body; ``framing`` bytes of it do not count.

        Raises:
            Refusal: too large (413), too slow (408), or too much at once (503).
            Disconnected: the client went away first.
        """
        try:
            return await asyncio.wait_for(self._collect(self._limits.body + framing), self._limits.seconds)
        except asyncio.TimeoutError:
            raise Refusal(
                408, "REQUEST_TIMEOUT", f"The body did not arrive within {self._limits.seconds:g} seconds."
            ) from None

    async def _collect(self, limit: int) -> bytes:
        chunks: List[bytes] = []
        size = 0
        more = True
        refusal: Optional[Refusal] = None
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected("The client went away.")
            chunk = message.get("body", b"")
            more = bool(message.get("more_body", False))
            size += len(chunk)
            if size > limit:
                refusal = too_large(self._limits.body)
            elif refusal is None and not self._hold(len(chunk)):
                refusal = Refusal(
                    503,
                    "OVERLOADED",
                    "The sink is busy with other requests; try again.",
                    headers=[("retry-after", "1")],
                )
            if refusal is None:
                chunks.append(chunk)
            else:
                chunks.clear()
                self._release()
                if size > limit + self._limits.discard:
                    break
        if refusal is not None:
            raise refusal
        return b"".join(chunks)

    def _hold(self, size: int) -> bool:
        if self._budget.used + size > self._budget.limit:
            return False
        self._budget.used += size
        self._held += size
        return True

    def _release(self) -> None:
        self._budget.used -= self._held
        self._held = 0


#: Members of a gzip file; each costs a copy of the rest, and no exporter sends more than one.
_MAX_MEMBERS = 64
ENCODINGS = ("identity", "gzip", "deflate")


def unpack(encoding: str, data: bytes, limit: int) -> bytes:
    """The body without its content coding, one of `ENCODINGS`.

    Raises:
        Refusal: more than ``limit`` bytes would come out; no more than that are ever made.
        MalformedBody: ``data`` is not of this coding, or ends early.
    """
    if encoding == "identity":
        return data
    try:
        if encoding == "gzip":
            return _gunzip(data, limit)
        # "deflate" is zlib's format by the book (RFC 9110, 8.4.1.2), and bare deflate from some clients.
        try:
            return _inflate(data, zlib.MAX_WBITS, limit)[0]
        except zlib.error:
            return _inflate(data, -zlib.MAX_WBITS, limit)[0]
    except zlib.error:
        raise MalformedBody(f"The body is not {encoding}.") from None


def _gunzip(data: bytes, limit: int) -> bytes:
    members: List[bytes] = []
    size = 0
    while True:
        member, data = _inflate(data, zlib.MAX_WBITS | 16, limit - size)
        members.append(member)
        size += len(member)
        if not data:
            return b"".join(members)
        if len(members) == _MAX_MEMBERS:
            raise MalformedBody(f"The body has more than {_MAX_MEMBERS} gzip members.")


def _inflate(data: bytes, window: int, limit: int) -> Tuple[bytes, bytes]:
    inflater = zlib.decompressobj(window)
    out = inflater.decompress(data, limit + 1)
    if len(out) > limit:
        raise too_large(limit)
    if not inflater.eof:
        raise MalformedBody("The compressed body ends early.")
    return out, inflater.unused_data


def too_large(limit: int) -> Refusal:
    """The refusal of a body of more than ``limit`` bytes."""
    return Refusal(
        413, _TOO_LARGE, f"The body is larger than {limit} bytes, packed or unpacked.", {"limit": limit}
    )
