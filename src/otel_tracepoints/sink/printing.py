"""Events as text for a person at a terminal, and the thread that writes them.

Values come from strangers: every character that a terminal would obey, or that would make text
look like something else, is shown by its number instead.
"""

from __future__ import annotations

import queue
import threading
import unicodedata
from typing import Any, Callable, Iterator, List, Optional, Tuple

from otel_tracepoints import semconv
from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.event import Event, format_timestamp

#: Characters of a value, of a message, and variables and frames of a hit, that are shown.
_VALUE_WIDTH = 200
_MESSAGE_WIDTH = 1000
_MAX_VARIABLES = 30
_MAX_FRAMES = 5
#: Events that wait to be printed; beyond, they are counted instead.
_MAX_WAITING = 10_000
#: Unicode's control, format, surrogate, private, unassigned, line and paragraph separator characters.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_TITLES = {
    semconv.EVENT_SNAPSHOT: ("tracepoint", "bold cyan"),
    semconv.EVENT_LOGPOINT: ("logpoint", "bold green"),
    semconv.EVENT_ERROR_CONDITION: ("condition failed", "bold red"),
    semconv.EVENT_ERROR_SNAPSHOT: ("capture failed", "bold red"),
    semconv.EVENT_ERROR_RATE_LIMIT: ("rate limit", "bold yellow"),
    semconv.EVENT_STARTED: ("agent started", "bold blue"),
    semconv.EVENT_STOPPED: ("agent stopped", "bold blue"),
}

#: A piece of text and its style (of `rich`; empty is plain).
Piece = Tuple[str, str]


def visible(text: str) -> str:
    """The text with every character that could act on a terminal, or hide, shown as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape(character) if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def pieces(event: Event, value_text: Optional[Callable[[Any], str]] = None) -> Iterator[Piece]:
    """The event for a person: a line of what and where, then what was captured, indented.

    Args:
        event: What arrived.
        value_text: Writes a captured value on one line; JSON if left out.
    """
    payload = event.payload
    title, style = _TITLES[event.name]
    yield format_timestamp(event.timestamp_ms)[11:], "dim"
    yield "  " + title, style
    yield f"  {_shown(event.service or '-')}", ""
    if payload.get("file") is not None:
        yield f"  {_shown(payload['file'])}:{_shown(payload.get('line'))}", "bold"
    function = ".".join(
        part for part in (payload.get("className"), payload.get("method")) if isinstance(part, str)
    )
    if function:
        yield f"  {_shown(function)}", ""
    if payload.get("probeId") is not None:
        yield f"  [{_shown(payload['probeId'])}]", "dim"
    yield "\n", ""
    for text in ("message", "error"):
        if isinstance(payload.get(text), str):
            yield f"    {_short(visible(payload[text]), _MESSAGE_WIDTH)}\n", ""
            break
    yield from _variables(payload, value_text or _value)
    yield from _frames(payload.get("stack"))
    if isinstance(payload.get("traceId"), str):
        yield f"    trace {_shown(payload['traceId'])}\n", "dim"


class Printer:
    """Writes events in a thread of its own, so that a terminal that is held up holds up nothing else.

    Args:
        render: Makes the text of one event, line ends included.
        write: Writes it out.
        on_broken: Called once, from the thread, when nobody reads any more.
    """

    def __init__(
        self,
        render: Callable[[Event], str],
        write: Callable[[str], None],
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._render = render
        self._write = write
        self._on_broken = on_broken
        self._queue: queue.Queue[Optional[Event]] = queue.Queue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="otel-tracepoints-sink-print", daemon=True)

    def start(self) -> None:
        """Start to print."""
        self._thread.start()

    def submit(self, events: List[Event]) -> None:
        """Print these after all others; never waits."""
        for event in events:
            if self._queue.qsize() < _MAX_WAITING:
                self._queue.put(event)
            else:
                self._left_out += 1

    @property
    def left_out(self) -> int:
        """How many events were not printed, because too many waited already."""
        return self._left_out

    def stop(self, timeout: float) -> None:
        """Print what waits, within ``timeout`` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            event = self._queue.get()
            if event is None:
                return
            try:
                self._write(self._render(event))
            except (OSError, ValueError):
                # The reader of a pipe is gone, or the stream was closed.
                self._on_broken()
                return


def _variables(payload: Any, value_text: Callable[[Any], str]) -> Iterator[Piece]:
    snapshot = payload.get("snapshot")
    shown: List[Tuple[str, Any]] = []
    if isinstance(snapshot, dict):
        for group in ("arguments", "locals"):
            variables = snapshot.get(group)
            shown.extend(variables.items() if isinstance(variables, dict) else [])
    watches = payload.get("watches")
    if isinstance(watches, list):
        shown.extend(
            (str(watch.get("expression")), watch.get("value")) for watch in watches if isinstance(watch, dict)
        )
    for name, value in shown[:_MAX_VARIABLES]:
        yield f"    {_shown(name)}", "cyan"
        yield f" = {_short(visible(value_text(value)), _VALUE_WIDTH)}\n", ""
    if len(shown) > _MAX_VARIABLES:
        yield f"    and {len(shown) - _MAX_VARIABLES} more\n", "dim"


def _frames(stack: Any) -> Iterator[Piece]:
    frames = [frame for frame in stack if isinstance(frame, dict)] if isinstance(stack, list) else []
    for frame in frames[:_MAX_FRAMES]:
        place = f"{_shown(frame.get('file'))}:{_shown(frame.get('line'))}"
        yield f"    at {place} in {_shown(frame.get('method'))}\n", "dim"


def _value(value: Any) -> str:
    # What the capture wrote in its own words reads better without the JSON around it.
    if isinstance(value, dict) and isinstance(value.get(semconv.JSON_REPR), str):
        return str(value[semconv.JSON_REPR])
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return json_text.dump_readable(value)


def _shown(value: Any) -> str:
    return _short(visible(value if isinstance(value, str) else str(value)), 300)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _escape(character: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
