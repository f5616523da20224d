"""Where a command's words go: answers to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import json
import sys
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_tracepoints.cli.client import Answer, Refused, Unreachable
from otel_tracepoints.cli.visible import visible

#: Columns where the output is no terminal: a pipe has no width, and a cut value is a lost value.
_PIPE_WIDTH = 100_000


class PlainConsole(Console):
    """A console that takes brackets and emoji names for what they are: text of others.

    A reader that went away is the caller's to handle (rich would end the process).
    """

    def __init__(self, *, stderr: bool = False) -> None:
        width = None if (sys.stderr if stderr else sys.stdout).isatty() else _PIPE_WIDTH
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the BrokenPipeError."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


class Screen:
    """Prints answers for a person, or, with ``as_json``, as they came.

    All text is made harmless here, so that callers may pass what others wrote.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._answers = 0
        self._out: Optional[PlainConsole] = None

    def answer(self, answer: Answer, show: Callable[[Dict[str, Any]], None]) -> None:
        """An answer of the API: unchanged with ``--json``, else as ``show`` shows it."""
        if self.as_json:
            self._raw(answer.body or b"{}")
        else:
            show(answer.document)

    def refusal(self, refused: Refused) -> None:
        """The API's sentence and what its details add on stderr; with ``--json`` its answer too."""
        if self.as_json:
            self._raw(refused.body)
        for line in refusal_lines(refused):
            self.note(line)

    def unreachable(self, error: Unreachable) -> None:
        """Why nobody answered, and what to do."""
        self.note(error.message)
        self.note(error.advice)

    def note(self, text: str) -> None:
        """One line on stderr."""
        click.echo(visible(text), err=True)

    def line(self, text: str = "", style: str = "") -> None:
        """One line for a person on stdout."""
        self._console().print(Text(visible(text), style=style), soft_wrap=True)

    def facts(self, rows: Iterable[Sequence[object]]) -> None:
        """Names and values in two columns; rows with an empty value are left out."""
        self._columns(None, [row for row in rows if row[1] not in (None, "", [], ())])

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table with a header line."""
        self._columns(header, list(rows))

    def _columns(self, header: Optional[Sequence[str]], rows: List[Sequence[object]]) -> None:
        cells = [[visible(cell) for cell in row] for row in rows]
        if not self._console().is_terminal:
            self._plain_columns([list(header), *cells] if header else cells)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header is not None)
        for number in range(len(cells[0]) if cells else 0):
            # The first column is a name or an id, which one wants to copy in one piece.
            name = header[number] if header else ""
            style = "bold" if header is None and number == 0 else None
            table.add_column(name, header_style="bold", style=style, overflow="fold", no_wrap=number == 0)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        self._console().print(table)

    def _plain_columns(self, rows: List[List[str]]) -> None:
        # In a pipe: as wide as it gets, nothing cut, nothing padded at the end.
        widths = [max(cell_len(cell) for cell in column) for column in zip(*rows)]
        for row in rows:
            padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths)]
            self.line("  ".join(padded).rstrip())

    def json_line(self, document: Any) -> None:
        """A document on one line of stdout, at once."""
        click.echo(json.dumps(document))

    def _raw(self, body: bytes) -> None:
        stream = sys.stdout.buffer
        if self._answers:
            # Several calls in one command: an answer a line.
            stream.write(b"\n")
        self._answers += 1
        stream.write(body)
        if sys.stdout.isatty():
            stream.write(b"\n")
        stream.flush()

    def _console(self) -> PlainConsole:
        if self._out is None:
            # Made late, so that it looks at the stdout of now.
            self._out = PlainConsole()
        return self._out


def refusal_lines(refused: Refused) -> List[str]:
    """A refusal for a person: the sentence, then what the details know beyond it."""
    lines = [f"{refused.message} ({refused.code})"]
    details = refused.details
    expression, position = details.get("expression"), details.get("position")
    if isinstance(expression, str) and isinstance(position, int) and 0 <= position <= len(expression):
        lines.append("  " + visible(expression))
        lines.append("  " + " " * len(visible(expression[:position])) + "^")
    for name, title in _DETAILS:
        value = details.get(name)
        items = [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []
        if items and not all(item in refused.message for item in items):
            lines.append(f"  {title}: {', '.join(items)}")
    hint = _HINTS.get(refused.code)
    if hint:
        lines.append(hint)
    return lines


_DETAILS = (
    ("field", "field"),
    ("expected", "expected"),
    ("allowed", "allowed"),
    ("nearest", "nearest lines with code"),
    ("candidates", "candidates"),
)
_HINTS = {
    "UNAUTHORIZED": "Give the token with --token, --token-file or DEBUGIN_CONTROL_API_TOKEN.",
    "FORBIDDEN_HOST": "Call it by a loopback address (--url http://127.0.0.1:PORT), or configure a token.",
    "FORBIDDEN_FILE": "DEBUGIN_DENY_FILES of the service says where no probe may be put.",
    "AMBIGUOUS_FILE": "Give more of the path.",
    "POINT_NOT_FOUND": "otel-tracepoints list shows the points that exist.",
}
