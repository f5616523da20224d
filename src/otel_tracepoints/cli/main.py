"""The root of ``otel-tracepoints``, and the one place where failures become exit codes.

    0  done
    1  refused by the API, its sentence on stderr
    2  usage, or an extra that is not installed
    3  cannot connect, with what to do
    130  interrupted; 0 where Ctrl-C is the way to end the command

Nothing of click is imported before it is known to be there.
"""

from __future__ import annotations

import os
import sys
from typing import List, Optional

from otel_tracepoints.cli.visible import visible
from otel_tracepoints.errors import TracepointsError

DONE, REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
#: Options that may stand before the subcommand and are followed by a word.
_WITH_VALUE = ("--url", "--token", "--token-file")
#: Modules of each extra, for whoever installed without it.
_EXTRAS = {
    "click": "cli",
    "rich": "cli",
    "hypercorn": "sink",
    "h2": "sink",
    "flask": "demo",
    "werkzeug": "demo",
}


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a command; answers the exit code. No exception but SystemExit leaves it."""
    _prepare_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            code = _run(given)
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = DONE if _lasts(given) else INTERRUPTED
    except BrokenPipeError:
        # The reader has what it wanted (``… | head -1``).
        code = DONE
        _silence(sys.stdout)
    except OSError as error:
        code = REFUSED
        _say(f"Cannot write the output: {error.strerror or error}.")
        _silence(sys.stdout)
    return code


def _lasts(given: List[str]) -> bool:
    """Whether the command runs until Ctrl-C, which may come before it has begun."""
    words = iter(given)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word in ("watch", "sink") or (word == "demo" and "--keep" in given)
    return False


def _run(given: List[str]) -> int:
    try:
        import click

        from otel_tracepoints.cli.client import Refused, Unreachable
        from otel_tracepoints.cli.root import root
        from otel_tracepoints.cli.session import Session
    except ModuleNotFoundError as error:
        return _missing(error)

    session = Session()
    try:
        # Not root.main(): click ends the process itself when a pipe breaks, with a code of its own.
        with root.make_context("otel-tracepoints", given, obj=session) as context:
            code = root.invoke(context)
    except Refused as refused:
        session.screen.refusal(refused)
        return REFUSED
    except Unreachable as error:
        session.screen.unreachable(error)
        return UNREACHABLE
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except ModuleNotFoundError as error:
        return _missing(error)
    except TracepointsError as error:
        _say(f"{error.message} ({error.code})")
        return REFUSED
    except (BrokenPipeError, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            raise
        # A mistake of ours; even so a user gets a sentence and not our call stack.
        _say(f"Unexpected {type(error).__name__}: {error}. Please report this.")
        return REFUSED
    return code if isinstance(code, int) else DONE


def _missing(error: ModuleNotFoundError) -> int:
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        _say(f"A part is missing: {error}.")
    else:
        _say(f'This needs {module}, which is not installed: pip install "otel-tracepoints[{extra}]"')
    return USAGE


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(visible(text) + "\n")


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Closed by whoever started us; writing must not fail for that.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character gets its escape, not a UnicodeEncodeError.
            stream.reconfigure(errors="backslashreplace")


def _silence(stream: object) -> None:
    # Or the interpreter flushes at its end and complains of the same again.
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]  # It is a stream, or has none.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
