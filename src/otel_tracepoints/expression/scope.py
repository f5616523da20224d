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
from otel_tracepoints.expression.budget import MAX_ITEMS, NAMESPACE, State, new_state, over, spend
from otel_tracepoints.introspect import MISSING, is_subtype

#: Reads one name in a frame.
Reader = Callable[[FrameType, State], Any]


def _own_namespace_type() -> type:
    return type(sys._getframe().f_locals)


_OPTIMIZED = 1
_VARARGS = 4
_LOAD_FAST_AND_CLEAR: Optional[int] = opcode.opmap.get("LOAD_FAST_AND_CLEAR")
_HAS_PROXY = sys.version_info >= (3, 13)
#: The type of f_locals of a function: FrameLocalsProxy has no name to import it by.
_FUNCTION_NAMESPACE: type = _own_namespace_type()


def unknown(name: str, message: str) -> EvaluationError:
    """``UNKNOWN_NAME``: in a message or watch the name alone says it."""
    return EvaluationError("UNKNOWN_NAME", message, name)


def local(frame: FrameType, name: str, state: State) -> Any:
    """A local, cell or free variable, or `MISSING` when the frame has none of this name.

    Raises:
        EvaluationError: ``UNKNOWN_NAME`` when it has one that is unbound now (even where a global of
            the name exists), ``UNSAFE_ATTRIBUTE`` when the namespace is no dict.
    """
    code = frame.f_code
    namespace: Any = state[NAMESPACE]
    if namespace is None:
        namespace = state[NAMESPACE] = frame.f_locals
    if type(namespace) is _FUNCTION_NAMESPACE and (_HAS_PROXY or code.co_flags & _OPTIMIZED):
        try:
            return namespace[name]  # type: ignore[index]
        except KeyError:
            pass
        if not code.co_flags & _OPTIMIZED or _only_in_comprehensions(code, name):
            return MISSING
        if name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars:
            raise unknown(name, f"'{name}' has no value yet")
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
                return local(holder, name, new_state())
        holder = holder.f_back
    raise unknown(name, f"'{name}' cannot be read in a class body")


def name_reader(name: str) -> Reader:
    """Reads a variable: local, cell or free, else global, else ``UNKNOWN_NAME``.

    Up to 3.12 a *str subclass* with its own ``__eq__`` planted in such a namespace would be
    compared, as it is whenever the application itself, or CPython for it, looks there.
    """

    def missing(frame: FrameType, state: State) -> Any:
        value = local(frame, name, state)
        if value is MISSING:
            value = dict.get(frame.f_globals, name, MISSING)
            if value is MISSING:
                raise unknown(name, f"'{name}' is neither a local nor a global")
        return value

    if _HAS_PROXY:

        def read(frame: FrameType, state: State) -> Any:
            namespace: Any = state[NAMESPACE]
            if namespace is None:
                namespace = state[NAMESPACE] = frame.f_locals
            if type(namespace) is _FUNCTION_NAMESPACE:
                try:
                    return namespace[name]  # type: ignore[index]
                except KeyError:
                    pass
            return missing(frame, state)

        return read

    def read_dict(frame: FrameType, state: State) -> Any:
        if frame.f_code.co_flags & _OPTIMIZED:
            namespace: Any = state[NAMESPACE]
            if namespace is None:
                namespace = state[NAMESPACE] = frame.f_locals
            try:
                return namespace[name]
            except KeyError:
                pass
        return missing(frame, state)

    return read_dict


def shadowable(name: str, otherwise: Reader) -> Reader:
    """``args``, ``this``, ``locals``, ``true``, ``false``, ``null``: a local of the same name comes first."""

    def read(frame: FrameType, state: State) -> Any:
        value = local(frame, name, state)
        return otherwise(frame, state) if value is MISSING else value

    return read


def this(frame: FrameType, state: State) -> Any:
    """The local ``self``."""
    value = local(frame, "self", state)
    if value is MISSING:
        raise unknown("this", "'this' needs a local named 'self'")
    return value


def own_local(frame: FrameType, name: str, state: State) -> Any:
    """``locals.name``: the local, never a global."""
    value = local(frame, name, state)
    if value is MISSING:
        raise unknown(name, f"'{name}' is not a local")
    return value


def parameters(code: CodeType) -> Tuple[Tuple[str, ...], Optional[str]]:
    """The names of the positional parameters in order, and of ``*rest`` or None."""
    count = code.co_argcount
    names = code.co_varnames
    rest = names[count + code.co_kwonlyargcount] if code.co_flags & _VARARGS else None
    return names[:count], rest


def arguments(frame: FrameType, state: State) -> Tuple[Any, ...]:
    """``args``: the current values of the positional parameters, then the items of ``*rest``."""
    names, rest = parameters(frame.f_code)
    spend(state, 10 * len(names))
    values: List[Any] = [own_local(frame, name, state) for name in names]
    if rest is not None:
        items = own_local(frame, rest, state)
        base = _rest_base(items, rest)
        if base.__len__(items) > MAX_ITEMS:
            raise over("args")
        spend(state, base.__len__(items) >> 3)
        values.extend(base.__getitem__(items, slice(None)))
    return tuple(values)


def argument(frame: FrameType, index: int, state: State) -> Tuple[Any, str]:
    """``args[index]`` and the name of the parameter it belongs to."""
    names, rest = parameters(frame.f_code)
    size = len(names)
    if 0 <= index < size:
        return own_local(frame, names[index], state), names[index]
    items: Any = ()
    base: Any = tuple
    if rest is not None:
        items = own_local(frame, rest, state)
        base = _rest_base(items, rest)
    total = size + base.__len__(items)
    position = index + total if index < 0 else index
    if not 0 <= position < total:
        raise EvaluationError("INDEX_OUT_OF_RANGE", f"args has {total} items")
    if position < size:
        return own_local(frame, names[position], state), names[position]
    return base.__getitem__(items, position - size), rest or ""


def _rest_base(value: Any, name: str) -> Any:
    """The type whose slots read what ``*rest`` holds now; the function may have assigned to it."""
    for base in (tuple, list):
        if is_subtype(type(value), base):
            return base
    raise EvaluationError("TYPE_MISMATCH", f"'*{name}' does not hold a tuple any more")
