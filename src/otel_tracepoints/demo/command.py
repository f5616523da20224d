"""The command ``otel-tracepoints demo``."""

from __future__ import annotations

import click


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the shop and the sink running until Ctrl-C.")
def command(keep: bool) -> None:
    """Find a planted bug in a running web shop.

    Starts the sink and a small Flask shop under the agent, buys something, sets a tracepoint and a
    logpoint through the REST API, buys the same again, and shows the hits and what they say.
    """
    # Here and not above: `otel-tracepoints demo --help` needs nothing of it.
    from otel_tracepoints.demo.run import run

    raise click.exceptions.Exit(run(keep))
