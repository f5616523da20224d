"""The command group: which commands there are, each loaded only when it is asked for.

So that a missing extra of one command breaks no other, and ``--help`` needs none.
"""

from __future__ import annotations

import importlib
from typing import Dict, List, NamedTuple, Optional

import click

from otel_tracepoints.cli.session import root_session_options
from otel_tracepoints.version import VERSION

_PACKAGE = "otel_tracepoints"


class Place(NamedTuple):
    """Where a command is, and its line in the help."""

    module: str
    attribute: str
    help: str
    extra: str = "cli"


COMMANDS: Dict[str, Place] = {
    "demo": Place(
        "demo.command", "command", "Find a planted bug in a running web shop, in 20 seconds.", "demo"
    ),
    "sink": Place("cli.sink", "command", "Receive OTLP and show the hits in it.", "sink"),
    "set": Place("cli.create", "set_tracepoint", "Set a tracepoint: capture variables and stack at a line."),
    "log": Place("cli.create", "set_logpoint", "Set a logpoint: a log record whenever a line runs."),
    "list": Place("cli.points", "list_points", "List the probes of a process."),
    "show": Place("cli.points", "show_point", "Show all about one probe."),
    "explain": Place("cli.points", "explain_point", "Say why hits do or do not arrive."),
    "enable": Place("cli.switch", "enable_points", "Switch probes on, by ID or by tag."),
    "disable": Place("cli.switch", "disable_points", "Switch probes off, by ID or by tag."),
    "remove": Place("cli.switch", "remove_points", "Remove probes, by ID, by tag, or all."),
    "watch": Place("cli.watch", "watch_hits", "Follow hits as they happen."),
    "lines": Place("cli.points", "list_lines", "List the lines of a file that can take a probe."),
    "health": Place("cli.health", "show_health", "Show the state of the agent."),
    "sleep": Place("cli.switch", "sleep_agent", "Switch every probe off at once."),
    "wake": Place("cli.switch", "wake_agent", "Switch the probes on again."),
    "validate": Place("cli.create", "validate", "Ask whether a probe would be accepted (as set, as log)."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported by `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> List[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Load the command.

        Raises:
            click.UsageError: when its extra is not installed, naming the extra.
        """
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        name = f"{_PACKAGE}.{place.module}"
        try:
            command = getattr(importlib.import_module(name), place.attribute)
        except ModuleNotFoundError as error:
            missing = error.name or str(error)
            raise click.UsageError(
                f"{cmd_name!r} needs {missing}, which is not installed: "
                f'pip install "otel-tracepoints[{place.extra}]"',
                ctx,
            ) from None
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table, without loading anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"otel-tracepoints {VERSION}")
    ctx.exit()


@click.group(
    cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version)
@root_session_options
@click.pass_context
def root(ctx: click.Context) -> None:
    """Live tracepoints and logpoints in a running Python service, out as OpenTelemetry.

    The service runs under the agent: opentelemetry-instrument python app.py
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
