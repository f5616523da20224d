"""The command ``otel-tracepoints demo``."""

from __future__ import annotations

import click

from otel_tracepoints.cli.session import Session, pass_session, session_options


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the shop and the sink running until Ctrl-C.")
@session_options
@pass_session
def command(session: Session, /, keep: bool) -> None:
    """Find a planted bug in a running web shop.

    Starts the sink and a small Flask shop under the agent, buys something, sets a tracepoint and a
    logpoint through the REST API, buys the same again, and shows the hits and what they say.
    With --json stdout has the hits, one a line, and the story goes to stderr.
    """
    session.without_api("the demo starts a control API of its own")
    # Here and not above: `otel-tracepoints demo --help` needs nothing of it.
    from otel_tracepoints.demo.run import run

    raise click.exceptions.Exit(run(keep, as_json=session.screen.as_json))
