"""The demo's voice: progress while something starts, then the story."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, Dict, Iterator, List

from rich.text import Text

from otel_tracepoints.cli.render import value_text
from otel_tracepoints.cli.screen import PlainConsole
from otel_tracepoints.cli.visible import visible


class Narrator:
    """Tells on stdout; on a terminal with colours and a spinner, else in plain lines.

    Args:
        as_json: Tell on stderr instead, and leave stdout to the hits, one a line.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._console = PlainConsole(stderr=as_json)

    @contextlib.contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that this is going on."""
        if self._console.is_terminal:
            with self._console.status(Text(visible(text))):
                yield
        else:
            self.say(text)
            yield

    def title(self, text: str) -> None:
        """The head of a chapter."""
        self.say("")
        self.say(text, style="bold")

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self._console.print(Text(visible(text), style=style), soft_wrap=True)
        # Whoever reads through a pipe sees the story while it happens.
        self._console.file.flush()

    def event(self, event: Dict[str, Any], own_trace: bool, home: str) -> None:
        """A hit, as the sink handed it out."""
        if self._as_json:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
        payload = event.get("payload", {})
        where = f"{short(payload.get('file'), home)}:{payload.get('line')} in {payload.get('method')}"
        self.say(f"   ● {event.get('name')}  {where}", style="cyan")
        if payload.get("message") is not None:
            self.say(f"       message    {payload['message']}")
        captured = payload.get("snapshot", {})
        variables = {**captured.get("arguments", {}), **captured.get("locals", {})}
        for number, (name, value) in enumerate(variables.items()):
            self.say(f"       {'variables' if number == 0 else '':<10} {name} = {value_text(value)}")
        for watch in payload.get("watches", []):
            self.say(f"       {'watch':<10} {watch.get('expression')} = {value_text(watch.get('value'))}")
        for number, frame in enumerate(shop_frames(payload, home)):
            title = "stack" if number == 0 else ""
            place = f"{short(frame.get('file'), home)}:{frame.get('line')}"
            self.say(f"       {title:<10} {place} in {frame.get('method')}")
        trace = payload.get("traceId")
        note = "  (the trace of the request just sent)" if own_trace else ""
        self.say(f"       {'trace id':<10} {trace}{note}")


def short(path: object, home: str) -> str:
    """A path of the shop as the shop's own, any other as it is."""
    text = str(path)
    return text[len(home) :].lstrip("/\\").replace("\\", "/") if text.startswith(home) else text


def shop_frames(payload: Dict[str, Any], home: str) -> List[Dict[str, Any]]:
    """The frames of the stack that are the shop's; Flask's and the server's are left out here."""
    stack = payload.get("stack")
    frames = [frame for frame in stack if isinstance(frame, dict)] if isinstance(stack, list) else []
    return [frame for frame in frames if str(frame.get("file")).startswith(home)]
