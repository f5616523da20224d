"""``health``: is the agent awake, by which engine does it watch, do hits reach the sink."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import click

from otel_tracepoints.cli.points import sink_sentence
from otel_tracepoints.cli.render import duration_text, mapping, sequence
from otel_tracepoints.cli.session import Session, pass_session, session_options


@click.command("health")
@session_options
@pass_session
def show_health(session: Session) -> None:
    """Show the state of the agent, and what to do about it."""
    session.screen.answer(session.client.get("/health"), lambda document: _show(session, document))


def _show(session: Session, document: Dict[str, Any]) -> None:
    healthy = document.get("status") == "healthy"
    session.screen.line(
        f"{document.get('status')}, {document.get('state')}", style="bold green" if healthy else "bold red"
    )
    session.screen.facts(_facts(document))
    for hint in health_hints(document):
        session.screen.line("→ " + hint, style="yellow")


def _facts(document: Dict[str, Any]) -> List[Tuple[str, str]]:
    agent, engine = mapping(document, "agent"), mapping(document, "engine")
    process, sink = mapping(document, "process"), mapping(document, "eventSink")
    features = mapping(document, "features")
    facts = [("agent", f"{agent.get('name')} {agent.get('version')}")]
    facts.append(("runtime", f"{agent.get('runtime')} {agent.get('runtimeVersion')}"))
    if process:
        facts.append(("process", f"{process.get('pid')} ({process.get('serviceName') or 'no service name'})"))
    facts.append(("up", duration_text(document.get("uptime"))))
    if engine:
        tool = "" if engine.get("toolId") is None else f", tool id {engine['toolId']}"
        reason = f": {engine['reason']}" if engine.get("reason") else ""
        facts.append(("engine", f"{engine.get('name')} by {engine.get('mechanism')}{tool}{reason}"))
    if sink:
        facts.append(("sink", sink_sentence(sink)))
        protocol = f", by {sink['protocol']}" if sink.get("protocol") else ""
        numbers = f"{sink.get('sent')} sent{protocol}, {sink.get('queued')} waiting"
        numbers += f", {sink.get('dropped')} dropped, {sink.get('onSpans')} on the application's spans"
        facts.append(("hits", numbers))
    facts.append(("features", ", ".join(name for name, there in features.items() if there is True)))
    facts.append(("tags", ", ".join(str(tag) for tag in sequence(document, "tags"))))
    broker = mapping(document, "broker")
    if broker.get("url"):
        facts.append(
            ("broker", f"{broker['url']}, {'connected' if broker.get('connected') else 'not connected'}")
        )
    return facts


def health_hints(document: Dict[str, Any]) -> List[str]:
    """What the state of things suggests to do, a sentence each."""
    hints = []
    sink = mapping(document, "eventSink")
    if document.get("state") == "sleeping":
        hints.append("It sleeps, so no probe is on: otel-tracepoints wake")
    if "engine" not in document:
        hints.append("This is all that is told without a token: --token, --token-file.")
    if sink.get("connected") is False:
        hints.append("Nobody takes the hits: run otel-tracepoints sink, or set DEBUGIN_EVENT_SINK_URL there.")
    if isinstance(sink.get("dropped"), int) and sink["dropped"] > 0:
        hints.append("Hits were dropped: see docs/troubleshooting.md, or lower the rate of the probes.")
    return hints
