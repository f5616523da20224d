"""One language for conditions, watches and message templates (``docs/expressions.md``).

    text → lexing (other spellings) → syntax (Python's parser, checked) → compiling (closures)
    frame → scope (names) → access, comparison, arithmetic, methods, regex → value, or EvaluationError

No code of the application runs, whatever its objects are: `introspect` and the builtins' own
slots do all the work. Work is bounded before it is done (`budget`).
"""

from otel_tracepoints.expression.model import (
    Evaluated,
    Expression,
    NamePredicate,
    Template,
    TemplateField,
    never,
)
from otel_tracepoints.expression.parsing import parse_condition, parse_template, parse_watch

__all__ = [
    "Evaluated",
    "Expression",
    "NamePredicate",
    "Template",
    "TemplateField",
    "never",
    "parse_condition",
    "parse_template",
    "parse_watch",
]
