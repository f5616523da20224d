"""A probe's definition from a command line: arguments and options → the body of a create call.

What is only well formed is checked here (usage, exit code 2); what it means is the API's to
judge, so that the command line never knows better than the agent it talks to.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence, Tuple, TypeVar, Union

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    # Generic for the type checker only: click 8.1, the last for Python 3.8, cannot be subscripted.
    _ParamType = click.ParamType

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class FileLine(_ParamType):
    r"""``FILE:LINE``; the last colon counts, so ``C:\shop\cart.py:12`` is fine."""

    name = "FILE:LINE"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Tuple[str, int]:
        """The file and the line."""
        if isinstance(value, tuple):
            return value
        file, _, line = str(value).rpartition(":")
        if not file or not re.fullmatch(r"-?[0-9]{1,15}", line):
            self.fail(f"{value!r} is not FILE:LINE, as in shop/cart.py:42.", param, ctx)
        return file, int(line)


class Rate(_ParamType):
    """``N[/BURST]``: hits a second, and how many may come at once."""

    name = "N[/BURST]"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Dict[str, Any]:
        """The API's ``rateLimit`` object."""
        if isinstance(value, dict):
            return value
        limit, slash, burst = str(value).partition("/")
        if slash and not re.fullmatch(r"-?[0-9]{1,15}", burst):
            self.fail(f"{value!r}: BURST is a whole number, as in 5/20.", param, ctx)
        number = _number(limit)
        if number is None:
            self.fail(f"{value!r} is not N[/BURST], as in 5 or 0.5/3.", param, ctx)
        rate: Dict[str, Any] = {"limitPerSecond": number}
        if slash:
            rate["burst"] = int(burst)
        return rate


class Seconds(_ParamType):
    """A number of seconds, or ``never``."""

    name = "SECONDS"

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Union[int, float, str]:
        """The number, or the word ``never``."""
        if isinstance(value, (int, float)):
            return value
        if value == "never":
            return "never"
        number = _number(str(value))
        if number is None:
            self.fail(f"{value!r} is neither a number of seconds nor 'never'.", param, ctx)
        return number


def _number(text: str) -> Optional[Union[int, float]]:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def probe_options(command: _Command) -> _Command:
    """What ``set`` and ``log`` have in common."""
    for option in (
        click.option("--id", "probe_id", metavar="ID", help="An id of your own choice."),
        click.option("--rate", type=Rate(), help="At most N hits a second, BURST at once."),
        click.option("--expire", type=Seconds(), help="Seconds to live (3600); 'never' for no end."),
        click.option("--max-hits", type=int, metavar="N", help="Expires after N hits."),
        click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be repeated."),
        click.option("--if", "condition", metavar="EXPR", help="Hit only where this holds."),
        click.argument("location", type=FileLine(), metavar="FILE:LINE"),
    ):
        command = option(command)
    return command


def watch_option(command: _Command) -> _Command:
    """A tracepoint's watches."""
    return click.option(
        "--watch", "watches", multiple=True, metavar="EXPR", help="Capture this too; may be repeated."
    )(command)


def level_option(command: _Command) -> _Command:
    """A logpoint's severity."""
    return click.option(
        "--level", type=click.Choice(LEVELS, case_sensitive=False), help="Severity of the record (INFO)."
    )(command)


def definition(
    location: Tuple[str, int],
    condition: Optional[str],
    tags: Sequence[str],
    max_hits: Optional[int],
    expire: Optional[Union[int, float, str]],
    rate: Optional[Dict[str, Any]],
    probe_id: Optional[str],
    watches: Sequence[str] = (),
    message: Optional[str] = None,
    level: Optional[str] = None,
) -> Dict[str, Any]:
    """The body of a create call, holding only what was given: all defaults are the agent's."""
    body: Dict[str, Any] = {"file": location[0], "line": location[1]}
    given = {
        "message": message,
        "level": level,
        "condition": condition,
        "watch": list(watches) or None,
        "tags": list(tags) or None,
        "maxHits": max_hits,
        "expireSeconds": expire,
        "rateLimit": rate,
        "id": probe_id,
    }
    body.update((name, value) for name, value in given.items() if value is not None)
    if expire == "never":
        body["expireSeconds"] = None
    return body
