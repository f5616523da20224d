"""What every engine is: something that watches lines and calls back.

An engine knows nothing of probes, conditions or OpenTelemetry. It works on *code objects*,
so functions, methods, closures, lambdas, comprehensions, class bodies and modules are all
the same to it.

**An arrival** is one execution of a line that is reached from another line, or by a call, an
exception or a resumption onto another line. On Python 3.8 to 3.11 it is counted as
``sys.settrace`` reports ``line`` events, on 3.12 and later as ``sys.monitoring`` reports
``LINE``; the two differ only on a line that is a whole loop in itself.
"""

from __future__ import annotations

import platform
from types import CodeType, FrameType
from typing import Any, Callable, NamedTuple, Optional, Protocol, Sequence

from otel_tracepoints.codesite import CodeSite
from otel_tracepoints.comprehensions import crash_when_read
from otel_tracepoints.errors import PlacingFailed

__all__ = ["CodeSite", "Engine", "Handler", "Watch", "refuse_what_crashes"]

#: Called with the application's frame, in the application's thread, once per arrival. Must not
#: raise but what is for the application (`interrupts`). The frame's ``f_lineno`` may be trusted for nothing.
Handler = Callable[[FrameType], None]


class Watch(NamedTuple):
    """What `Engine.install` is told."""

    key: str
    sites: Sequence[CodeSite]
    line: int
    handler: Handler


def refuse_what_crashes(watches: Sequence[Watch]) -> None:
    """Where this interpreter may crash when a handler looks at the frame's variables there is no watch.

    Raises:
        PlacingFailed: One of these is such.
    """
    for watch in watches:
        for site in watch.sites:
            if crash_when_read(site.code):
                raise PlacingFailed(
                    f"Python {platform.python_version()} may crash when variables of {site.code.co_name} are"
                    " read: a comprehension in it has a variable of the same name as one that functions in it"
                    " share (github.com/python/cpython/issues/128396). Python 3.13.3 has that mended; or"
                    " rename the variable."
                )


class Engine(Protocol):
    """Watches lines. Every method may be called from any thread; none is for the hit path.

    Attributes:
        name: ``pytrace`` (handlers are Python) or ``native``.
        native: The compiled module, which brings the gates; None for ``pytrace``.
        mechanism: ``monitoring``, ``injection`` or ``settrace``.
        reason: Why this one, as a sentence.
        tool_id: The ``sys.monitoring`` tool id taken, if any.
    """

    name: str
    native: Optional[Any]
    mechanism: str
    reason: str
    tool_id: Optional[int]

    def install(self, key: str, sites: Sequence[CodeSite], line: int, handler: Handler) -> None:
        """Call ``handler`` at each arrival at ``line`` in these code objects.

        Several keys may watch one line: each handler is called once per arrival, in order of
        installation. Calling again with the same key and more sites adds them.

        Raises:
            PlacingFailed: The line could not be watched; nothing was changed.
        """
        ...

    def install_all(self, watches: Sequence[Watch]) -> None:
        """`install` for each; a hundred at little more than the price of one, where that is high.

        Raises:
            PlacingFailed: One or more could not be watched; nothing was changed.
        """
        ...

    def remove(self, *keys: str) -> None:
        """Stop calling these keys' handlers, and leave nothing of them behind; unknown keys are fine."""
        ...

    def replacement(self, code: CodeType) -> CodeType:
        """What to run in place of ``code``, which is about to run (a module's body)."""
        ...

    def notes(self, key: str) -> Sequence[str]:
        """Sentences for a person about what could not be watched, or is dear to watch."""
        ...

    def after_fork_in_child(self) -> None:
        """Make the engine whole again in a forked child; call before its other threads exist."""
        ...

    def close(self) -> None:
        """Remove everything. The engine cannot be used again; closing twice is fine."""
        ...
