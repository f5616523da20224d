"""``enable``, ``disable``, ``remove``, ``sleep`` and ``wake``: probes off, on and away."""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

import click

from otel_tracepoints.cli.client import Answer, Refused
from otel_tracepoints.cli.points import point_path
from otel_tracepoints.cli.session import Session, pass_session, session_options


@click.command("enable")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Points with any of these tags.")
@session_options
@pass_session
def enable_points(session: Session, ids: Tuple[str, ...], tags: Tuple[str, ...]) -> None:
    """Switch probes on, by ID or by tag."""
    _switch(session, "enable", ids, tags)


@click.command("disable")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Points with any of these tags.")
@session_options
@pass_session
def disable_points(session: Session, ids: Tuple[str, ...], tags: Tuple[str, ...]) -> None:
    """Switch probes off, by ID or by tag; they keep their counts."""
    _switch(session, "disable", ids, tags)


@click.command("remove")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Points with any of these tags.")
@click.option("--all", "everything", is_flag=True, help="All points.")
@session_options
@pass_session
def remove_points(session: Session, ids: Tuple[str, ...], tags: Tuple[str, ...], everything: bool) -> None:
    """Remove probes, by ID, by tag, or all."""
    if bool(ids) + bool(tags) + everything != 1:
        raise click.UsageError("Give one of: ID..., --tag TAG, --all.")
    if ids:
        _each(session, ids, lambda probe_id: session.client.call("DELETE", point_path(probe_id)), "removed")
        return
    query = [("all", "true")] if everything else [("tag", tag) for tag in tags]
    answer = session.client.call("DELETE", "/points", query=query)
    session.screen.answer(answer, lambda document: session.screen.line(f"{document.get('removed')} removed."))


@click.command("sleep")
@session_options
@pass_session
def sleep_agent(session: Session) -> None:
    """Switch every probe off at once; definitions and counts stay."""
    answer = session.client.post("/sleep")
    session.screen.answer(
        answer, lambda document: session.screen.line(f"The agent is {document.get('state')}: no probe is on.")
    )


@click.command("wake")
@session_options
@pass_session
def wake_agent(session: Session) -> None:
    """Switch the probes on again after sleep."""
    answer = session.client.post("/wake")
    session.screen.answer(
        answer, lambda document: session.screen.line(f"The agent is {document.get('state')}.")
    )


def _switch(session: Session, verb: str, ids: Tuple[str, ...], tags: Tuple[str, ...]) -> None:
    if bool(ids) == bool(tags):
        raise click.UsageError("Give either ID... or --tag TAG.")
    if ids:
        _each(
            session, ids, lambda probe_id: session.client.post(f"{point_path(probe_id)}/{verb}"), f"{verb}d"
        )
        return
    answer = session.client.post(f"/tags/{verb}", {"tags": list(tags)})
    session.screen.answer(
        answer, lambda document: session.screen.line(f"{document.get(verb + 'd')} changed.")
    )


def _each(session: Session, ids: Tuple[str, ...], call: Callable[[str], Answer], done: str) -> None:
    # One id that is refused does not keep the others from what was asked for them.
    refused_any = False
    for probe_id in ids:
        try:
            answer = call(probe_id)
        except Refused as refused:
            refused_any = True
            session.screen.refusal(refused)
        else:
            session.screen.answer(answer, _saying(session, f"{probe_id} {done}."))
    if refused_any:
        raise click.exceptions.Exit(1)


def _saying(session: Session, sentence: str) -> Callable[[Dict[str, Any]], None]:
    return lambda _: session.screen.line(sentence)
