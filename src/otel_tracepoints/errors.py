"""Every error of this package, in one tree.

    TracepointsError
    ├── ConfigError                 a setting that cannot be used
    ├── EngineUnavailable           the engine asked for cannot run here
    ├── ControlApiError             the control API could not be reached, or refused
    ├── PointNotFound               no probe has this id
    ├── DuplicateId                 a probe has this id already
    ├── InvalidProbe                a probe definition that cannot be accepted
    │   ├── MalformedJson
    │   ├── InvalidField            wrong type, out of range, missing
    │   ├── UnknownField
    │   ├── ImmutableField          file, line and type never change
    │   ├── MissingSelector         delete everything? say so
    │   ├── InvalidLine             below 1
    │   ├── LineNotExecutable       blank, a comment, past the end
    │   ├── FileNotFound
    │   ├── AmbiguousFile
    │   ├── ForbiddenFile           the deny list
    │   └── InvalidExpression
    │       ├── InvalidCondition
    │       ├── InvalidMessage
    │       └── InvalidWatch
    ├── PlacingFailed               a probe was accepted, but could not be put on its line
    ├── InvalidRedaction            a redaction rule is broken, so nothing is captured
    └── EvaluationError             an expression failed during a hit

``code`` is the machine code of the control API (``docs/troubleshooting.md`` has an
entry for each), ``details`` is the ``details`` object of its error answers.
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, Mapping, Optional


class TracepointsError(Exception):
    """Base of all errors raised by this package.

    Args:
        message: A sentence for a person. It never quotes a value of the application.
        details: Facts for a program; JSON-like.
    """

    code: str = "INTERNAL"

    def __init__(self, message: str, details: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.details: Dict[str, Any] = dict(details or {})

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self.args[0])


class ConfigError(TracepointsError):
    """A setting has a value that cannot be used; ``details`` has ``variable`` and ``allowed``."""

    code = "INVALID_CONFIG"


class EngineUnavailable(TracepointsError):
    """The engine that was asked for cannot run here; the message says why and what to do."""

    code = "ENGINE_UNAVAILABLE"


class ControlApiError(TracepointsError):
    """The control API could not be served or reached, or answered with an error."""

    code = "CONTROL_API"


class PointNotFound(TracepointsError):
    """No probe has this id."""

    code = "POINT_NOT_FOUND"


class DuplicateId(TracepointsError):
    """A probe with this id exists already."""

    code = "DUPLICATE_ID"


class InvalidProbe(TracepointsError):
    """A probe definition, or a request about probes, that cannot be accepted."""

    code = "INVALID_FIELD"


class MalformedJson(InvalidProbe):
    """The text is not JSON (``NaN`` and ``Infinity`` are not either)."""

    code = "MALFORMED_JSON"


class InvalidField(InvalidProbe):
    """A field has the wrong type or range, or is missing; ``field`` (a JSON path), ``expected``."""

    code = "INVALID_FIELD"


class UnknownField(InvalidProbe):
    """A field that does not exist here; ``field`` and ``allowed``."""

    code = "UNKNOWN_FIELD"


class ImmutableField(InvalidProbe):
    """A field that cannot change once the probe exists; ``field``."""

    code = "IMMUTABLE_FIELD"


class MissingSelector(InvalidProbe):
    """A deletion that does not say what to delete."""

    code = "MISSING_SELECTOR"


class InvalidLine(InvalidProbe):
    """A line number below 1."""

    code = "INVALID_LINE"


class LineNotExecutable(InvalidProbe):
    """No code starts on this line; ``nearest`` holds the closest lines that have some, ascending."""

    code = "LINE_NOT_EXECUTABLE"


class FileNotFound(InvalidProbe):
    """The file is neither loaded, nor on ``sys.path``, nor on disk; may have ``candidates``."""

    code = "FILE_NOT_FOUND"


class AmbiguousFile(InvalidProbe):
    """Several files match; ``candidates`` are their absolute paths."""

    code = "AMBIGUOUS_FILE"


class ForbiddenFile(InvalidProbe):
    """The file is on the deny list (``DEBUGIN_DENY_FILES``)."""

    code = "FORBIDDEN_FILE"


class InvalidExpression(InvalidProbe):
    """An expression outside the language; ``expression``, ``position`` (from 0), ``allowed``."""

    code = "INVALID_CONDITION"


class InvalidCondition(InvalidExpression):
    """The condition is outside the expression language."""

    code = "INVALID_CONDITION"


class InvalidMessage(InvalidExpression):
    """The message template is malformed; ``position`` counts in the whole message."""

    code = "INVALID_MESSAGE"


class InvalidWatch(InvalidExpression):
    """A watch is outside the expression language."""

    code = "INVALID_WATCH"


class PlacingFailed(TracepointsError):
    """A probe was accepted, but could not be put on its line."""

    code = "PLACING_FAILED"


class InvalidRedaction(TracepointsError):
    """A redaction rule is broken, so nothing is captured until it is right."""

    code = "INVALID_REDACTION"


class EvaluationError(TracepointsError):
    """An expression failed during a hit.

    ``code`` is one of ``CODES``. Created in the application's thread, so it is
    cheap, and its message holds names and types, never values.

    Attributes:
        mark: What stands for the value in a message or watch: ``<UNKNOWN_NAME: user>``.
    """

    CODES: ClassVar[frozenset[str]] = frozenset(
        {
            "UNKNOWN_NAME",
            "UNKNOWN_ATTRIBUTE",
            "UNKNOWN_KEY",
            "INDEX_OUT_OF_RANGE",
            "TYPE_MISMATCH",
            "DIVISION_BY_ZERO",
            "UNSAFE_ATTRIBUTE",
            "UNSAFE_COMPARISON",
            "INVALID_REGEX",
            "BUDGET",
        }
    )

    def __init__(self, code: str, message: str, short: Optional[str] = None) -> None:
        super().__init__(message)
        self.code = code
        self._short = short

    @property
    def mark(self) -> str:
        """See the class; the sentence where there is nothing shorter."""
        return f"<{self.code}: {self._short or self.message}>"
