"""How the instances of a class are read: decided once per class, then remembered.

The memory holds classes weakly and by id, because it may neither keep a class of the application
alive nor hash one (a metaclass may have its own ``__hash__``).
"""

from __future__ import annotations

import contextlib
import enum
import functools
import types
import weakref
from typing import Any, Dict, List, Optional, Tuple

from otel_tracepoints import introspect

(
    OBJECT,
    OPAQUE,
    TEXT,
    ENUM,
    STR,
    INT,
    FLOAT,
    BYTES,
    LIST,
    TUPLE,
    RECORD,
    DICT,
    ITEMS,
    VIEW,
    EXCEPTION,
    ARRAY,
) = range(16)

_BASE_KINDS: Dict[str, int] = {
    "bool": INT, "int": INT, "float": FLOAT, "str": STR, "bytes": BYTES, "bytearray": BYTES,
    "list": LIST, "tuple": TUPLE, "dict": DICT, "set": ITEMS, "frozenset": ITEMS, "collections.deque": ITEMS,
    "BaseException": EXCEPTION, "module": OPAQUE, "type": OPAQUE, "memoryview": OPAQUE,
}  # fmt: skip

_CODE_LIKE: Tuple[Any, ...] = (
    *(types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.CodeType, types.FrameType),
    *(types.TracebackType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
    *(property, classmethod, staticmethod, super, functools.partial, functools.partialmethod),
    *(types.GetSetDescriptorType, types.MemberDescriptorType, weakref.ref),
)
_OPAQUE_TYPES = frozenset(map(id, _CODE_LIKE))

#: One line and no more, with all their subclasses: looking inside is long, and tells nothing about
#: the program. By name, because asking for the class would import its module.
_OPAQUE_NAMES = frozenset(
    """
    socket.socket ssl.SSLSocket ssl.SSLContext logging.Logger logging.Handler logging.LoggerAdapter
    threading.Thread threading.Condition threading.Event threading.Semaphore threading.Barrier
    threading._RLock _thread._local _thread.lock _thread.RLock _io._IOBase subprocess.Popen
    selectors.BaseSelector asyncio.events.AbstractEventLoop asyncio.locks.Lock _asyncio.Task
    _asyncio.Future concurrent.futures._base.Executor concurrent.futures._base.Future queue.Queue
    queue.SimpleQueue _queue.SimpleQueue multiprocessing.process.BaseProcess
    multiprocessing.context.BaseContext mmap.mmap sqlite3.Connection sqlite3.Cursor
    functools._lru_cache_wrapper types.GenericAlias typing._Final contextvars.ContextVar
    _contextvars.ContextVar weakref.WeakMethod
    """.split()  # noqa: SIM905 - words read best as words
)
_ARRAY_NAMES = frozenset(
    """
    numpy.ndarray numpy.generic pandas.core.frame.DataFrame pandas.core.series.Series
    pandas.DataFrame pandas.Series array.array
    """.split()  # noqa: SIM905 - words read best as words
)
_VIEWS = frozenset(map(id, (types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()))))
#: So many classes are remembered, then all are forgotten.
_REMEMBERED = 2048


class Shape:
    """How to read instances of one class.

    Attributes:
        name: As `introspect.type_name` has it.
        kind: One of the constants of this module.
        base: The builtin type whose slots to use, if any.
        slots: (index in the MRO, name) of each slot, base classes first.
        dict_at: Index in the MRO of the class with the real ``__dict__`` getter, or -1.
        fields: Names of a namedtuple's fields.
    """

    __slots__ = ("base", "dict_at", "fields", "kind", "name", "ref", "slots")

    def __init__(self, cls: type) -> None:
        self.ref = weakref.ref(cls)
        self.name = introspect.type_name(cls)
        self.base = introspect.builtin_base(cls)
        self.fields: Tuple[str, ...] = ()
        self.slots: Tuple[Tuple[int, str], ...] = ()
        self.dict_at = -1
        self.kind = self._classify(cls)
        if self.kind == OBJECT:
            self.slots = _slots(cls)
            self.dict_at = _dict_at(cls)
            if not self.slots and self.dict_at < 0:
                self.kind = OPAQUE

    def _classify(self, cls: type) -> int:
        base = self.base
        if introspect.is_subtype(cls, enum.Enum):
            return ENUM
        if base is tuple:
            fields = introspect.class_attribute(cls, "_fields")
            if type(fields) is tuple and fields and all(type(field) is str for field in fields):
                self.fields = fields
                return RECORD
            return TUPLE
        names = [introspect.type_name(each) for each in introspect.mro(cls)]
        if not _ARRAY_NAMES.isdisjoint(names):
            return ARRAY
        if base is not None:
            return _BASE_KINDS.get(introspect.type_name(base), TEXT)
        if id(cls) in _VIEWS:
            return VIEW
        if id(cls) in _OPAQUE_TYPES or not _OPAQUE_NAMES.isdisjoint(names):
            return OPAQUE
        return OBJECT


def _slots(cls: type) -> Tuple[Tuple[int, str], ...]:
    found: List[Tuple[int, str]] = []
    mro = introspect.mro(cls)
    for index in range(len(mro) - 1, -1, -1):
        namespace = introspect.namespace(mro[index])
        # C types have the same descriptors, but theirs are no fields of an application.
        if "__slots__" in namespace:
            for name, member in list(namespace.items()):
                if type(member) is types.MemberDescriptorType and type(name) is str and name != "__dict__":
                    found.append((index, name))
    return tuple(found)


def _dict_at(cls: type) -> int:
    for index, each in enumerate(introspect.mro(cls)):
        kind: type = type(introspect.namespace(each).get("__dict__"))
        if kind is types.GetSetDescriptorType or kind is types.MemberDescriptorType:
            return index
    return -1


_shapes: Dict[int, Shape] = {}


def shape_of(cls: type) -> Shape:
    """The shape of a class. Cheap after the first time; safe from any thread."""
    shape = _shapes.get(id(cls))
    if shape is not None and shape.ref() is cls:
        return shape
    shape = Shape(cls)
    if len(_shapes) >= _REMEMBERED:
        _shapes.clear()
    _shapes[id(cls)] = shape
    return shape


def fields_of(shape: Shape, value: Any) -> Optional[Dict[Any, Any]]:
    """The instance's own namespace, or None; only through ``dict``'s methods (it may be a subclass)."""
    if shape.dict_at < 0:
        return None
    found: Any = _descriptor(value, shape.dict_at, "__dict__")
    if found is None:
        return None
    fields: Any = found.__get__(value)
    kind = type(fields)
    return fields if kind is dict or introspect.is_subtype(kind, dict) else None


def slots_of(shape: Shape, value: Any) -> List[Tuple[str, Any]]:
    """(name, value) of the slots that are set."""
    pairs: List[Tuple[str, Any]] = []
    for index, name in shape.slots:
        slot = _descriptor(value, index, name)
        if slot is not None:
            with contextlib.suppress(AttributeError):  # not set
                pairs.append((name, slot.__get__(value)))
    return pairs


def _descriptor(value: Any, index: int, name: str) -> Any:
    """A C getter of the class, looked up anew: the application may have changed its class since."""
    mro = introspect.mro(type(value))
    found: Any = introspect.namespace(mro[index]).get(name) if index < len(mro) else None
    kind = type(found)
    return found if kind is types.MemberDescriptorType or kind is types.GetSetDescriptorType else None
