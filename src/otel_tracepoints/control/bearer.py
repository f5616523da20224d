"""The bearer token: given, read from a file, or made and left in a private file."""

from __future__ import annotations

import os
import pathlib
import secrets
import tempfile
from typing import List, NamedTuple, Optional

from otel_tracepoints import config
from otel_tracepoints.errors import ConfigError

_BYTES = 32


class MadeToken(NamedTuple):
    """A token of our own making, and the file of mode 0600 that holds it."""

    token: str
    path: str


def configured_token(settings: config.Settings) -> Optional[str]:
    """The token that the settings give, or None where they give none.

    Raises:
        ConfigError: it cannot be read or is empty; going on without one would leave the door
            open that was meant to be shut.
    """
    if settings.control_api_token is not None:
        return _checked(settings.control_api_token, "DEBUGIN_CONTROL_API_TOKEN")
    path = settings.control_api_token_file
    if path is None:
        return None
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _problem("DEBUGIN_CONTROL_API_TOKEN_FILE", f"a readable file ({error})") from None
    return _checked(text, "DEBUGIN_CONTROL_API_TOKEN_FILE")


def make_token() -> Optional[MadeToken]:
    """A new token in a new file of the user's runtime directory, else the temporary one.

    None where no file can be written.
    """
    for directory in _directories():
        try:
            # Opened with O_EXCL and O_NOFOLLOW, mode 0600, under a name that nobody can guess.
            descriptor, path = tempfile.mkstemp(".token", "otel-tracepoints-", directory)
        except OSError:
            continue
        token = secrets.token_urlsafe(_BYTES)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token + "\n")
        except OSError:
            remove_token(path)
            continue
        return MadeToken(token, path)
    return None


def remove_token(path: str) -> None:
    """Remove a file that `make_token` made."""
    try:
        pathlib.Path(path).unlink()
    except OSError:
        return


def _directories() -> List[str]:
    directories = []
    runtime = config.runtime_directory()
    if runtime is not None and pathlib.Path(runtime).is_absolute():
        directories.append(runtime)
    try:
        directories.append(tempfile.gettempdir())
    except OSError:
        return directories
    return directories


def _checked(text: str, variable: str) -> str:
    token = text.strip()
    if not token or any(character.isspace() for character in token):
        raise _problem(variable, "a token without white space, not empty")
    return token


def _problem(variable: str, allowed: str) -> ConfigError:
    return ConfigError(f"{variable}: must be {allowed}", {"variable": variable, "allowed": allowed})
