"""The names of a frame: locals, cell and free variables, then globals; ``args`` and ``this``.

Reading ``frame.f_locals`` of a function gives a fresh dict up to 3.12 (and refreshes the one the
application may have kept from its own ``locals()``; pure Python has no other way) and a proxy
that reads single variables from 3.13 on. In a class body it is the application's own namespace,
which a metaclass may have made of any mapping: only real dicts are read, by dict's own methods.
"""

from __future__ import annotations

import opcode
import sys
from types import CodeType, FrameType
from typing import Any, Callable, List, Optional, Tuple

from otel_tracepoints.errors import EvaluationError
from otel_tracepoints.expression.budget import MAX_ITEMS, over
from otel_tracepoints.introspect import MISSING, is_subtype

#: Reads one name in a frame.
Reader = Callable[[FrameType], Any]


def _own_namespace_type() -> type:
    return type(sys._getframe().f_locals)


_OPTIMIZED = 1
_VARARGS = 4
_LOAD_FAST_AND_CLEAR: Optional[int] = opcode.opmap.get("LOAD_FAST_AND_CLEAR")
_HAS_PROXY = sys.version_info >= (3, 13)
#: The type of f_locals of a function: FrameLocalsProxy has no name to import it by.
_FUNCTION_NAMESPACE: type = _own_namespace_type()


def local(frame: FrameType, name: str) -> Any:
    """A local, cell or free variable, or `MISSING` when the frame has none of this name.

    Raises:
        EvaluationError: ``UNKNOWN_NAME`` when it has one that is unbound now (even where a global of
            the name exists), ``UNSAFE_ATTRIBUTE`` when the namespace is no dict.
    """
    code = frame.f_code
    namespace = frame.f_locals
    if type(namespace) is _FUNCTION_NAMESPACE and (_HAS_PROXY or code.co_flags & _OPTIMIZED):
        try:
            return namespace[name]
        except KeyError:
            pass
        if not code.co_flags & _OPTIMIZED or _only_in_comprehensions(code, name):
            return MISSING
        if name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
            raise EvaluationError("UNKNOWN_NAME", f"'{name}' has no value yet")
        return MISSING
    if type(namespace) is not dict and not is_subtype(type(namespace), dict):
        raise EvaluationError(
            "UNSAFE_ATTRIBUTE", f"the namespace that holds '{name}' is the application's own"
        )
    value = dict.get(namespace, name, MISSING)
    if value is MISSING and name in code.co_freevars:
        return _captured_by_class_body(frame, name)
    return value


def _only_in_comprehensions(code: CodeType, name: str) -> bool:
    """From 3.12 on a comprehension's variables stand among the locals of the function it is inlined into.

    Outside of it the name is a global's. A variable that is parked around a comprehension is one of
    those (or, rarely, a true local that a comprehension borrows: then a global of the name is taken).
    """
    if _LOAD_FAST_AND_CLEAR is None or name not in code.co_varnames:
        return False
    index = code.co_varnames.index(name)
    if index < code.co_argcount + code.co_kwonlyargcount or index > 255:
        return False
    parked = bytes((_LOAD_FAST_AND_CLEAR, index))
    instructions = code.co_code
    found = instructions.find(parked)
    while found % 2 and found != -1:
        found = instructions.find(parked, found + 1)
    return found != -1


def _captured_by_class_body(frame: FrameType, name: str) -> Any:
    """A variable of the function around a class body: f_locals of the body does not show it.

    The body runs while the function that holds it waits for it, so the holder is further down the stack.
    """
    code: CodeType = frame.f_code
    holder: Optional[FrameType] = frame.f_back
    for _ in range(32):
        if holder is None:
            break
        for constant in holder.f_code.co_consts:
            if constant is code:
                return local(holder, name)
        holder = holder.f_back
    raise EvaluationError("UNKNOWN_NAME", f"'{name}' cannot be read in a class body")


def name_reader(name: str) -> Reader:
    """Reads a variable: local, cell or free, else global, else ``UNKNOWN_NAME``.

    Up to 3.12 a *str subclass* with its own ``__eq__`` planted in such a namespace would be
    compared, as it is whenever the application itself, or CPython for it, looks there.
    """

    def missing(frame: FrameType) -> Any:
        value = local(frame, name)
        if value is MISSING:
            value = dict.get(frame.f_globals, name, MISSING)
            if value is MISSING:
                raise EvaluationError("UNKNOWN_NAME", f"'{name}' is neither a local nor a global")
        return value

    if _HAS_PROXY:

        def read(frame: FrameType) -> Any:
            namespace = frame.f_locals
            if type(namespace) is _FUNCTION_NAMESPACE:
                try:
                    return namespace[name]
                except KeyError:
                    pass
            return missing(frame)

        return read

    def read_dict(frame: FrameType) -> Any:
        if frame.f_code.co_flags & _OPTIMIZED:
            try:
                return frame.f_locals[name]
            except KeyError:
                pass
        return missing(frame)

    return read_dict


def shadowable(name: str, otherwise: Reader) -> Reader:
    """``args``, ``this``, ``locals``, ``true``, ``false``, ``null``: a local of the same name comes first."""

    def read(frame: FrameType) -> Any:
        value = local(frame, name)
        return otherwise(frame) if value is MISSING else value

    return read


def this(frame: FrameType) -> Any:
    """The local ``self``."""
    value = local(frame, "self")
    if value is MISSING:
        raise EvaluationError("UNKNOWN_NAME", "'this' needs a local named 'self'")
    return value


def own_local(frame: FrameType, name: str) -> Any:
    """``locals.name``: the local, never a global."""
    value = local(frame, name)
    if value is MISSING:
        raise EvaluationError("UNKNOWN_NAME", f"'{name}' is not a local")
    return value


def parameters(code: CodeType) -> Tuple[Tuple[str, ...], Optional[str]]:
    """The names of the positional parameters in order, and of ``*rest`` or None."""
    count = code.co_argcount
    names = code.co_varnames
    rest = names[count + code.co_kwonlyargcount] if code.co_flags & _VARARGS else None
    return names[:count], rest


def arguments(frame: FrameType) -> Tuple[Any, ...]:
    """``args``: the current values of the positional parameters, then the items of ``*rest``."""
    names, rest = parameters(frame.f_code)
    values: List[Any] = [own_local(frame, name) for name in names]
    if rest is not None:
        values.extend(_rest_items(own_local(frame, rest), rest))
    return tuple(values)


def argument(frame: FrameType, index: int) -> Tuple[Any, str]:
    """``args[index]`` and the name of the parameter it belongs to."""
    names, rest = parameters(frame.f_code)
    items: Any = ()
    if rest is not None and not 0 <= index < len(names):
        items = _rest_items(own_local(frame, rest), rest)
    size = len(names) + len(items)
    position = index + size if index < 0 else index
    if not 0 <= position < size:
        raise EvaluationError("INDEX_OUT_OF_RANGE", f"args has {size} items")
    if position < len(names):
        return own_local(frame, names[position]), names[position]
    return items[position - len(names)], rest or ""


def _rest_items(value: Any, name: str) -> Any:
    base = tuple if is_subtype(type(value), tuple) else list if is_subtype(type(value), list) else None
    if base is None:
        raise EvaluationError("TYPE_MISMATCH", f"'*{name}' does not hold a tuple any more")
    if base.__len__(value) > MAX_ITEMS:
        raise over("args")
    return base.__getitem__(value, slice(None))
