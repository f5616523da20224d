"""``list``, ``show``, ``explain`` and ``lines``: look at probes, and where they may go."""

from __future__ import annotations

import urllib.parse
from typing import Any, Dict, List, Optional, Tuple

import click

from otel_tracepoints.cli.render import (
    counts_text,
    error_text,
    mapping,
    place,
    point_facts,
    sequence,
)
from otel_tracepoints.cli.session import Session, pass_session, session_options

STATES = ("pending", "active", "disabled", "expired", "error")


def point_path(probe_id: str) -> str:
    """The path of a point, whatever its id holds.

    Raises:
        click.UsageError: for an empty id, which would be the path of all points.
    """
    if not probe_id:
        raise click.UsageError("An ID must not be empty.")
    # Bytes that the terminal's encoding does not have arrive as surrogates; they leave as they were typed.
    return "/points/" + urllib.parse.quote(probe_id, safe="", errors="surrogateescape")


@click.command("list")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Points with any of these tags.")
@click.option("--state", type=click.Choice(STATES), help="Points in this state.")
@session_options
@pass_session
def list_points(session: Session, tags: Tuple[str, ...], state: Optional[str]) -> None:
    """List the probes of a process."""
    query = [("tag", tag) for tag in tags]
    if state:
        query.append(("state", state))
    session.screen.answer(
        session.client.get("/points", query), lambda document: _show_list(session, document)
    )


@click.command("show")
@click.argument("probe_id", metavar="ID")
@session_options
@pass_session
def show_point(session: Session, probe_id: str) -> None:
    """Show all about one probe."""
    answer = session.client.get(point_path(probe_id))
    session.screen.answer(answer, lambda point: session.screen.facts(point_facts(point)))


@click.command("explain")
@click.argument("probe_id", metavar="ID")
@session_options
@pass_session
def explain_point(session: Session, probe_id: str) -> None:
    """Say why hits of a probe do or do not arrive."""
    answer = session.client.get(point_path(probe_id) + "/explain")
    session.screen.answer(answer, lambda document: _show_explanation(session, document))


@click.command("lines")
@click.argument("file")
@session_options
@pass_session
def list_lines(session: Session, file: str) -> None:
    """List the lines of FILE that can take a probe."""
    answer = session.client.get("/lines", [("file", file)])
    session.screen.answer(answer, lambda document: _show_lines(session, document))


def _show_list(session: Session, document: Dict[str, Any]) -> None:
    points = [point for point in sequence(document, "points") if isinstance(point, dict)]
    if not points:
        session.screen.note("No probes. Set one: otel-tracepoints set FILE:LINE")
        return
    session.screen.table(
        ("ID", "TYPE", "STATE", "HITS", "WHERE", "WHAT", "TAGS"),
        [
            (
                point.get("id"),
                point.get("type"),
                point.get("state"),
                point.get("hitCount"),
                place(point),
                _what(point),
                ", ".join(str(tag) for tag in sequence(point, "tags")),
            )
            for point in points
        ],
    )


def _what(point: Dict[str, Any]) -> str:
    parts = [str(point.get("message") or "")]
    if point.get("condition"):
        parts.append(f"if {point['condition']}")
    return " ".join(part for part in parts if part)


def _show_explanation(session: Session, document: Dict[str, Any]) -> None:
    session.screen.line(str(document.get("summary", "")), style="bold")
    for sentence in _sentences(document):
        session.screen.line(sentence)


def _sentences(document: Dict[str, Any]) -> List[str]:
    module, sink = mapping(document, "module"), mapping(document, "eventSink")
    files, functions = sequence(document, "files"), sequence(document, "functions")
    sentences = [f"Its state is {document.get('state')}."]
    if module.get("imported"):
        sentences.append(f"Module {module.get('name')} is imported.")
    elif module:
        sentences.append(f"Module {module.get('name') or ''} is not imported yet.".replace("  ", " "))
    if files:
        sentences.append(f"The file is {_listed(files)}.")
    if functions:
        sentences.append(f"The line is in {_listed(functions)}.")
    reached = {
        True: "The line has been reached since the probe was placed.",
        False: "The line has not been reached since the probe was placed.",
    }
    sentences.append(
        reached.get(document["reached"], "Whether the line has been reached is not known.")
        if isinstance(document.get("reached"), bool)
        else "Whether the line has been reached is not known."
    )
    sentences.append(f"Arrivals: {counts_text(mapping(document, 'counts'))}.")
    error = mapping(document, "error")
    if error:
        sentences.append(f"The last error: {error_text(error)}.")
    if sink:
        sentences.append(sink_sentence(sink))
    return sentences


def _listed(items: List[Any]) -> str:
    return ", ".join(str(item) for item in items)


def sink_sentence(sink: Dict[str, Any]) -> str:
    """Where hits go, and whether they get there."""
    url = sink.get("url") or "no sink of the agent's own"
    connected = sink.get("connected")
    if connected is None:
        return f"Hits go to {url}; nothing has been sent yet."
    if connected:
        return f"Hits go to {url}, which takes them ({sink.get('sent')} sent, {sink.get('queued')} waiting)."
    reason = f": {sink['lastError']}" if sink.get("lastError") else ""
    return f"Hits go to {url}, which does not take them{reason}."


def _show_lines(session: Session, document: Dict[str, Any]) -> None:
    imported = "imported" if document.get("imported") else "not imported yet"
    session.screen.line(f"{document.get('file')} ({imported})", style="bold")
    by_function: Dict[str, List[int]] = {}
    for entry in sequence(document, "lines"):
        if isinstance(entry, dict) and isinstance(entry.get("line"), int):
            functions = ", ".join(str(name) for name in sequence(entry, "functions"))
            by_function.setdefault(functions, []).append(entry["line"])
    session.screen.table(
        ("FUNCTION", "LINES"), [(name, ", ".join(map(str, lines))) for name, lines in by_function.items()]
    )
