"""``otel-tracepoints sink``: run the embedded sink until Ctrl-C or SIGTERM."""

from __future__ import annotations

import io
import os
import queue
import signal
import sys
from typing import Any, Callable, Optional

import click

from otel_tracepoints.cli.render import value_text
from otel_tracepoints.cli.session import Session, pass_session, session_options
from otel_tracepoints.cli.visible import visible
from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.caller import is_loopback
from otel_tracepoints.sink.event import Event
from otel_tracepoints.sink.printing import Printer, pieces
from otel_tracepoints.sink.server import SinkServer

_PRINT_THE_REST = 0.3
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))


@click.command("sink")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4317,
    show_default=True,
    help="Port; 0 takes any free one.",
)
@click.option("--forward", metavar="URL", help="Pass every OTLP request on to this receiver, unchanged.")
@click.option(
    "--store", type=click.Path(dir_okay=False), metavar="FILE", help="Keep events in this file (SQLite)."
)
@session_options
@pass_session
def command(session: Session, /, host: str, port: int, forward: Optional[str], store: Optional[str]) -> None:
    """Receive OpenTelemetry (OTLP over gRPC and HTTP, on one port) and show what probes send.

    With --json, one event a line on stdout.
    """
    session.without_api("the sink calls no control API")
    raise click.exceptions.Exit(_run(host, port, forward, store, session.screen.as_json))


def _run(host: str, port: int, forward: Optional[str], store: Optional[str], as_json: bool) -> int:
    # The standard library's one queue that a signal handler may put into at any moment.
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    previous = [(number, signal.signal(number, lambda *_: ended.put("signal"))) for number in _SIGNALS]
    try:
        printer = Printer(
            _json_line if as_json else _renderer(), _writer(), on_broken=lambda: ended.put("nobody reads")
        )
        try:
            sink = SinkServer(host, port, store=store, forward=forward, on_events=printer.submit).start()
        except ConfigError as error:
            if error.details.get("variable") == "--forward":
                raise click.BadParameter(error.message, param_hint="--forward") from None
            click.echo(f"Error: {error.message}", err=True)
            return 1
        printer.start()
        _announce(sink, host, as_json)
        serving = _wait(ended, sink)
        clean = sink.stop()
        printer.stop(_PRINT_THE_REST)
        if printer.left_out:
            click.echo(f"{printer.left_out} events were not printed: too many at once.", err=True)
        _tell_lost(sink)
        code = 0 if serving else 1
        if not clean:
            # A thread is busy with something huge; the interpreter would trip over it on its way out.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _announce(sink: SinkServer, host: str, as_json: bool) -> None:
    click.echo(
        f"Sink listening on {sink.url} (OTLP/gRPC, OTLP/HTTP, /api/events). Ctrl-C ends it.", err=as_json
    )
    if not is_loopback(host):
        click.echo(
            f"Whoever can reach {host} can read what the probes capture; there is no password.", err=True
        )


def _tell_lost(sink: SinkServer) -> None:
    forward = sink.intake.health().get("forward") or {}
    if forward.get("dropped"):
        text = f"{forward['dropped']} requests were not passed on to {forward['url']}: {forward['lastError']}"
        click.echo(visible(text), err=True)


def _wait(ended: queue.SimpleQueue[str], sink: SinkServer) -> bool:
    while sink.serving:
        try:
            # Not for ever: on Windows a signal is noticed only between two waits.
            ended.get(timeout=1.0)
        except queue.Empty:
            continue
        return True
    return False


def _json_line(event: Event) -> str:
    return json_text.dump(event.envelope()) + "\n"


def _renderer() -> Callable[[Event], str]:
    from rich.console import Console
    from rich.text import Text

    # Knows terminals, NO_COLOR and TERM; does not write itself, see `_writer`.
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def render(event: Event) -> str:
        with console.capture() as captured:
            console.print(Text.assemble(*pieces(event, value_text)), end="")
        return captured.get()

    return render


def _writer() -> Callable[[str], None]:
    stream: Any = sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        return lambda text: _write_to(stream, text)
    stream.flush()

    def write(text: str) -> None:
        # Past the stream's buffer: its lock, held by a thread that a stopped terminal keeps
        # waiting, would keep the interpreter from ending.
        data = text.encode(encoding, "backslashreplace")
        while data:
            data = data[os.write(descriptor, data) :]

    return write


def _write_to(stream: Any, text: str) -> None:
    stream.write(text)
    stream.flush()
