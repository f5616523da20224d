"""``set``, ``log`` and ``validate``: put a probe on a line, or ask whether one could be."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import click

from otel_tracepoints.cli.definition import definition, level_option, probe_options, watch_option
from otel_tracepoints.cli.render import point_summary
from otel_tracepoints.cli.session import Session, pass_session, session_options


@click.command("set")
@probe_options
@watch_option
@session_options
@pass_session
def set_tracepoint(session: Session, /, **options: Any) -> None:
    """Set a tracepoint: each hit captures variables and stack.

    Example: otel-tracepoints set shop/cart.py:42 --if "total > 100" --watch "self.user.id"
    """
    answer = session.client.post("/tracepoints", definition(**options))
    session.screen.answer(answer, lambda point: _created(session, point))


@click.command("log")
@probe_options
@click.argument("message")
@level_option
@session_options
@pass_session
def set_logpoint(session: Session, /, **options: Any) -> None:
    """Set a logpoint: each hit is a log record with MESSAGE.

    Example: otel-tracepoints log shop/cart.py:42 "{user.name} pays {total:.2f}" --level WARN
    """
    answer = session.client.post("/logpoints", definition(**options))
    session.screen.answer(answer, lambda point: _created(session, point))


class _SetOrLog(click.Group):
    """``set``, ``log``, or neither of the two words: then the message, or its absence, tells."""

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """As in any group, but what is no command's name is an argument already."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "", validate_either, args


@click.group(
    "validate",
    cls=_SetOrLog,
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="[set | log] FILE:LINE [MESSAGE] …",
)
@session_options
def validate() -> None:
    """Ask whether a probe would be accepted; sets nothing.

    Takes what set and log take. Without either word it is a logpoint if there is a MESSAGE.
    """


@validate.command("set")
@probe_options
@watch_option
@session_options
@pass_session
def validate_tracepoint(session: Session, /, **options: Any) -> None:
    """Would this tracepoint be accepted?"""
    _validate(session, "tracepoint", definition(**options))


@validate.command("log")
@probe_options
@click.argument("message")
@level_option
@session_options
@pass_session
def validate_logpoint(session: Session, /, **options: Any) -> None:
    """Would this logpoint be accepted?"""
    _validate(session, "logpoint", definition(**options))


@click.command("")
@probe_options
@click.argument("message", required=False)
@watch_option
@level_option
@session_options
@pass_session
def validate_either(session: Session, /, **options: Any) -> None:
    """Would this tracepoint, or with a MESSAGE this logpoint, be accepted?"""
    _validate(session, None, definition(**options))


def _validate(session: Session, kind: Optional[str], body: Dict[str, Any]) -> None:
    body = body if kind is None else {"type": kind, **body}
    answer = session.client.post("/points/validate", body)
    session.screen.answer(answer, lambda point: _valid(session, point))


def _valid(session: Session, point: Dict[str, Any]) -> None:
    session.screen.line(
        f"This {point.get('type', 'probe')} would be accepted; nothing was set.", style="green"
    )
    session.screen.facts(point_summary(point))


def _created(session: Session, point: Dict[str, Any]) -> None:
    session.screen.line(
        f"{str(point.get('type', 'probe')).capitalize()} {point.get('id')} set.", style="green"
    )
    session.screen.facts(point_summary(point))
    session.screen.note(f"Follow it: otel-tracepoints watch {point.get('id')}")
