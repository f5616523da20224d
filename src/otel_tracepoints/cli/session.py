"""What every command shares: where the API is, who asks, and how to print.

The options are taken before and after the subcommand; the later one wins.
"""

from __future__ import annotations

import pathlib
from typing import Any, Callable, List, Optional, TypeVar

import click
from click.core import ParameterSource

from otel_tracepoints.cli.client import DEFAULT_URL, Client, base_url
from otel_tracepoints.cli.screen import Screen

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Session:
    """The options given so far, and what is made of them on first use."""

    def __init__(self) -> None:
        self.url = DEFAULT_URL
        self.token: Optional[str] = None
        self.token_file: Optional[str] = None
        self.screen = Screen()
        self._typed: List[str] = []
        self._client: Optional[Client] = None

    @property
    def client(self) -> Client:
        """The API; the token file is read now."""
        if self._client is None:
            token = self.token
            if self.token_file is not None:
                token = _read_token(self.token_file)
            if token and not (token.isascii() and token.isprintable() and " " not in token):
                raise click.UsageError("The token holds characters that no token has.")
            try:
                self._client = Client(self.url, token)
            except ValueError as error:
                # What was typed has been looked at before.
                raise click.UsageError(f"DEBUGIN_CONTROL_API_URL, {self.url!r}: {error}.") from None
        return self._client

    def typed(self, option: str) -> None:
        """Note that this option was given on the command line."""
        if option not in self._typed:
            self._typed.append(option)

    def without_api(self, who: str) -> None:
        """Say which of the options given have no meaning for a command that calls no control API."""
        for option in self._typed:
            self.screen.note(f"{option} is not used: {who}.")


pass_session = click.make_pass_decorator(Session, ensure=True)


def session_options(command: _Command) -> _Command:
    """``--url``, ``--token``, ``--token-file`` and ``--json``, for a subcommand."""
    return _options(command, environment=False)


def root_session_options(command: _Command) -> _Command:
    """The same for the root, where the environment is read: any option given beats it."""
    return _options(command, environment=True)


def _options(command: _Command, *, environment: bool) -> _Command:
    def env(name: str) -> Optional[str]:
        return name if environment else None

    for option in (
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            expose_value=False,
            callback=_store_json,
            help="Print the API's answer unchanged, and nothing else, on stdout.",
        ),
        click.option(
            "--token-file",
            envvar=env("DEBUGIN_CONTROL_API_TOKEN_FILE"),
            metavar="FILE",
            expose_value=False,
            callback=_store_token_file,
            help="A file that holds the token.",
        ),
        click.option(
            "--token",
            envvar=env("DEBUGIN_CONTROL_API_TOKEN"),
            metavar="TOKEN",
            expose_value=False,
            callback=_store_token,
            help="Bearer token of the control API (DEBUGIN_CONTROL_API_TOKEN).",
        ),
        click.option(
            "--url",
            envvar=env("DEBUGIN_CONTROL_API_URL"),
            metavar="URL",
            expose_value=False,
            callback=_store_url,
            help=f"The control API (DEBUGIN_CONTROL_API_URL; {DEFAULT_URL}).",
        ),
    ):
        command = option(command)
    return command


def _store_url(context: click.Context, parameter: click.Parameter, value: Optional[str]) -> None:
    session = context.ensure_object(Session)
    if value is None:
        return
    session.url = value
    if _typed(context, parameter):
        session.typed("--url")
        try:
            session.url = base_url(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r}: {error}.", context, parameter) from None


def _store_token(context: click.Context, parameter: click.Parameter, value: Optional[str]) -> None:
    session = context.ensure_object(Session)
    if value is not None:
        if _typed(context, parameter):
            _one_of_both(context, "token_file")
            session.typed("--token")
            session.token_file = None
        session.token = value.strip()


def _store_token_file(context: click.Context, parameter: click.Parameter, value: Optional[str]) -> None:
    session = context.ensure_object(Session)
    if value is None:
        return
    if _typed(context, parameter):
        _one_of_both(context, "token")
        session.typed("--token-file")
        session.token = None
    elif session.token is not None:
        # Both in the environment: the agent, too, takes the token itself first.
        return
    session.token_file = value


def _store_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    session = context.ensure_object(Session)
    if value:
        session.screen.as_json = True


def _typed(context: click.Context, parameter: Any) -> bool:
    name = parameter if isinstance(parameter, str) else parameter.name
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _one_of_both(context: click.Context, other: str) -> None:
    # Options come in the order typed, so whichever comes second sees the first.
    if _typed(context, other):
        raise click.UsageError("Give --token or --token-file, not both.", context)


def _read_token(path: str) -> str:
    try:
        token = pathlib.Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise click.UsageError(f"Cannot read the token file {path}: {reason}.") from None
    if not token:
        raise click.UsageError(f"The token file {path} is empty.")
    return token
