"""Objects that record every piece of their own code that runs.

``TOUCHED`` collects ``Class.method`` of whatever ran; each recorded method then raises, so that
code which swallows errors is still found out. Use the `untouched` context manager.
"""

from __future__ import annotations

import contextlib
from typing import Any, Dict, Iterator, List, Tuple

TOUCHED: List[str] = []

#: Special methods that a class may define and that something looking at it might call.
SPECIAL_METHODS: Tuple[str, ...] = tuple(
    f"__{name}__"
    for name in (
        "getattribute getattr setattr delattr eq ne lt le gt ge hash bool len length_hint iter next reversed "
        "contains getitem setitem missing index int float complex str repr format bytes fspath sizeof dir "
        "reduce reduce_ex getstate copy deepcopy call enter exit add radd mul rmul mod rmod sub rsub neg "
        "trunc round floor ceil await aiter anext get_attr instancecheck subclasscheck"
    ).split()
)


class Touched(Exception):
    """A booby trap went off."""


def trap(owner: str, name: str) -> Any:
    """A method that records its call and raises."""

    def method(*args: Any, **kwargs: Any) -> Any:
        TOUCHED.append(f"{owner}.{name}")
        raise Touched(f"{owner}.{name}")

    method.__name__ = name
    return method


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Fails when any trap goes off inside the block."""
    del TOUCHED[:]
    yield
    touched = list(TOUCHED)
    del TOUCHED[:]
    assert touched == []


class Descriptor:
    """A data descriptor that behaves like the attribute of an ORM class: it would run a query."""

    def __init__(self, owner: str, name: str) -> None:
        self.label = f"{owner}.{name}"

    def __get__(self, instance: object, owner: object = None) -> Any:
        if instance is None:
            return self
        TOUCHED.append(self.label)
        raise Touched(self.label)

    def __set__(self, instance: object, value: object) -> None:
        TOUCHED.append(self.label)
        raise Touched(self.label)


class HostileMeta(type):
    """A metaclass whose every hook is a trap."""


def hostile_class(name: str, *bases: type, metaclass: type = HostileMeta, **members: Any) -> type:
    """A class with every special method trapped, ``__class__`` and ``__dict__`` as trapped properties."""
    namespace: Dict[str, Any] = {each: trap(name, each) for each in SPECIAL_METHODS}
    namespace["__class__"] = property(trap(name, "__class__"))
    namespace["__doc__"] = None
    namespace["computed"] = property(trap(name, "computed"))
    namespace["column"] = Descriptor(name, "column")
    namespace.update(members)
    return metaclass(name, bases or (object,), namespace)


Hostile = hostile_class("Hostile")
HostileDict = hostile_class("HostileDict", dict)
HostileList = hostile_class("HostileList", list)
HostileTuple = hostile_class("HostileTuple", tuple)
HostileSet = hostile_class("HostileSet", set)
HostileStr = hostile_class("HostileStr", str)
HostileBytes = hostile_class("HostileBytes", bytes)
HostileInt = hostile_class("HostileInt", int)
HostileFloat = hostile_class("HostileFloat", float)
HostileException = hostile_class("HostileException", Exception)
HiddenDict = hostile_class("HiddenDict", __dict__=property(trap("HiddenDict", "__dict__")))

# Only now: creating the classes above may use these hooks.
for _hook in (
    "__instancecheck__",
    "__subclasscheck__",
    "__eq__",
    "__ne__",
    "__hash__",
    "__call__",
    "__getattribute__",
    "__getattr__",
    "__repr__",
    "__str__",
    "__bool__",
    "__len__",
    "__iter__",
    "__dir__",
    "__contains__",
):
    type.__setattr__(HostileMeta, _hook, trap("HostileMeta", _hook))


class HashedKey:
    """A dict key whose hash may be computed (it must, to be stored) while it is armed only."""

    armed = False

    def __hash__(self) -> int:
        if HashedKey.armed:
            trap("HashedKey", "__hash__")()
        return 7

    def __eq__(self, other: object) -> bool:
        if HashedKey.armed:
            trap("HashedKey", "__eq__")()
        return self is other


class LazyProxy:
    """Stands in for another object, like werkzeug's LocalProxy or Django's SimpleLazyObject."""

    def __getattr__(self, name: str) -> Any:
        return trap("LazyProxy", name)()

    __class__ = property(trap("LazyProxy", "__class__"))  # type: ignore[assignment]
    __dict__ = property(trap("LazyProxy", "__dict__"))  # type: ignore[assignment]
    __repr__ = trap("LazyProxy", "__repr__")
    __bool__ = trap("LazyProxy", "__bool__")
    __eq__ = trap("LazyProxy", "__eq__")
    __hash__ = trap("LazyProxy", "__hash__")


class LazyRow:
    """Like a row of an ORM: ``loaded`` is in the instance's dict, ``column`` would be fetched."""

    loaded = Descriptor("LazyRow", "loaded")
    column = Descriptor("LazyRow", "column")


def make(cls: Any, *args: Any) -> Any:
    """An instance of a hostile class, made without its metaclass or its ``__init__``."""
    mro = type.__dict__["__mro__"].__get__(cls)
    for base in (dict, list, tuple, set, str, bytes, int, float, Exception):
        if any(each is base for each in mro):
            instance = base.__new__(cls, *args)  # type: ignore[call-overload]
            if base is dict or base is list or base is set or base is Exception:
                base.__init__(instance, *args)  # type: ignore[misc]
            return instance
    return object.__new__(cls)


def plant(instance: Any, **values: Any) -> Any:
    """Sets attributes past every hook."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
    return instance


def values() -> List[Any]:
    """One of each, with something stored inside."""
    return [
        plant(make(Hostile), stored=1),
        plant(make(HiddenDict), stored=1),
        make(HostileDict, {"k": 1}),
        make(HostileList, [1, 2]),
        make(HostileTuple, (1, 2)),
        make(HostileSet, {1}),
        make(HostileStr, "text"),
        make(HostileBytes, b"bytes"),
        make(HostileInt, 5),
        make(HostileFloat, 1.5),
        make(HostileException, "boom"),
        Hostile,
        LazyProxy(),
        LazyRow(),
    ]
