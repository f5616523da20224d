"""Arrays and frames of numpy and pandas, where they are installed."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from tests.support.captures import value_of


def test_namesake_is_not_trusted() -> None:
    """A class that only calls itself numpy's array is not read as one."""
    fake = type("ndarray", (), {"__module__": "numpy", "item": property(lambda self: 1 / 0)})
    assert value_of(fake()) == {"__tpd_type__": "numpy.ndarray", "__repr__": "<ndarray>"}


def test_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither package is imported, and a lazy stand-in in sys.modules is not asked."""
    lazy = types.ModuleType("numpy")
    lazy.__getattr__ = lambda name: pytest.fail(name)  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "numpy", lazy)
    fake = type("ndarray", (), {"__module__": "numpy"})
    assert value_of(fake())["__repr__"] == "<ndarray>"


class TestNumpy:
    """numpy."""

    def test_arrays(self) -> None:
        """Shape, element type, size and the first values."""
        numpy: Any = pytest.importorskip("numpy")
        assert value_of(numpy.arange(6).reshape(2, 3), max_properties=4) == {
            "__tpd_type__": "numpy.ndarray", "__repr__": "<ndarray shape=(2, 3) dtype=int64>",
            "__tpd_items__": [0, 1, 2, 3], "__tpd_truncated__": True, "__tpd_size__": 6,
        }  # fmt: skip
        floats = value_of(numpy.array([1.5, float("nan")]))
        assert floats["__tpd_items__"] == [1.5, {"__tpd_type__": "float", "__repr__": "nan"}]
        assert value_of(numpy.array([True]))["__tpd_items__"] == [True]
        assert value_of(numpy.array(["a"]))["__tpd_items__"] == ["a"]
        assert value_of(numpy.array(5))["__tpd_items__"] == [5]
        assert "__tpd_items__" not in value_of(numpy.array([]))

    def test_scalars(self) -> None:
        """Scalars have their type and value."""
        numpy: Any = pytest.importorskip("numpy")
        assert value_of(numpy.int64(5)) == {"__tpd_type__": "numpy.int64", "__repr__": "5"}
        assert value_of(numpy.float64(1.5)) in (1.5, {"__tpd_type__": "numpy.float64", "__repr__": "1.5"})

    def test_objects_are_not_touched(self) -> None:
        """The elements of an object array are not looked at; a subclass's own code does not run."""
        numpy: Any = pytest.importorskip("numpy")
        shown = value_of(numpy.array([object()], dtype=object))
        assert shown["__repr__"] == "<ndarray shape=(1,) dtype=object>"
        assert "__tpd_items__" not in shown

        class Loud(numpy.ndarray):  # type: ignore[misc]
            def __getitem__(self, key: Any) -> Any:
                raise AssertionError

            def item(self, *args: Any) -> Any:
                raise AssertionError

            @property
            def shape(self) -> Any:
                raise AssertionError

        assert value_of(numpy.arange(2).view(Loud))["__tpd_items__"] == [0, 1]

    def test_huge(self) -> None:
        """A large array costs what is shown of it."""
        numpy: Any = pytest.importorskip("numpy")
        assert len(value_of(numpy.zeros((10_000, 1000)))["__tpd_items__"]) == 100


class TestPandas:
    """pandas."""

    def test_frame(self) -> None:
        """Shape, element types and the names of the columns."""
        pandas: Any = pytest.importorskip("pandas")
        shown = value_of(pandas.DataFrame({"a": [1, 2, 3], "b": [1.5, 2.5, 3.5]}))
        assert shown["__tpd_type__"].endswith("DataFrame")
        assert shown["__repr__"].startswith("<DataFrame shape=(3, 2) dtypes=")
        assert "int64" in shown["__repr__"]
        assert "float64" in shown["__repr__"]
        assert shown["columns"] == ["a", "b"]
        assert sorted(shown["__tpd_items__"]) == [1, 1.5, 2, 2.5, 3, 3.5]

    def test_series(self) -> None:
        """A series has its length, element type and first values."""
        pandas: Any = pytest.importorskip("pandas")
        shown = value_of(pandas.Series([1, 2, 3]))
        assert shown["__repr__"] == "<Series shape=(3,) dtypes=int64>"
        assert shown["__tpd_items__"] == [1, 2, 3]
