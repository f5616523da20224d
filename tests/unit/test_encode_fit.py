"""Cutting JSON where a value ends."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_tracepoints.emission.fit import fit, fit_text

MARK = "__tpd_truncated__"

text = st.text(max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(text, inner, max_size=12),
    max_leaves=60,
)


@given(values, st.integers(64, 400))
def test_the_result_is_whole_json_within_the_limit(value, limit):
    """Whatever the value and the limit, the text is valid UTF-8 and JSON and not too long."""
    cut_text, cut = fit(value, limit)
    assert len(cut_text.encode("utf-8")) <= limit
    loaded = json.loads(cut_text)
    if not cut:
        assert loaded == value
    else:
        assert MARK in cut_text


@given(values)
def test_what_fits_is_not_touched(value):
    """Without need nothing is cut, and the text is plain JSON of the value."""
    whole, cut = fit(value, 1_000_000)
    assert not cut
    assert json.loads(whole) == value


@given(text, st.integers(64, 200))
def test_plain_text_keeps_its_beginning(value, limit):
    """Cut text is valid UTF-8, keeps the limit and ends in an ellipsis."""
    shown, cut = fit_text(value, limit)
    assert len(shown.encode("utf-8")) <= limit
    clean = value.encode("utf-8", "backslashreplace").decode()
    assert shown == clean if not cut else shown.endswith("…") and clean.startswith(shown[:-1])


def test_a_cut_list_ends_with_the_marker():
    """A list keeps its first elements whole and ends with an object that says how many there were."""
    loaded = json.loads(fit(list(range(1000)), 200)[0])
    assert loaded[-1] == {MARK: True, "__tpd_size__": 1000}
    assert loaded[:-1] == list(range(len(loaded) - 1))
    assert len(loaded) > 20


def test_a_cut_object_has_the_marker_beside_its_first_fields():
    """A dict or object keeps its type and first fields and says how many fields there were."""
    value = {"__tpd_type__": "shop.Order", **{f"field{index}": index for index in range(100)}}
    loaded = json.loads(fit(value, 300)[0])
    assert loaded["__tpd_type__"] == "shop.Order"
    assert loaded["field0"] == 0
    assert (loaded[MARK], loaded["__tpd_size__"]) == (True, 100)


def test_a_cut_string_becomes_an_object_with_its_beginning():
    """A string that is too long says its type, its length and how it begins."""
    loaded = json.loads(fit("x" * 5000, 200)[0])
    assert (loaded["__tpd_type__"], loaded[MARK], loaded["__tpd_size__"]) == ("str", True, 5000)
    assert set(loaded["__repr__"]) == {"x"}
    assert len(fit("x" * 5000, 200)[0]) == 200


def test_a_value_shown_by_its_text_stays_of_its_type():
    """An opaque value whose text is too long keeps its type name."""
    loaded = json.loads(fit({"__tpd_type__": "decimal.Decimal", "__repr__": "1" * 5000}, 200)[0])
    assert loaded["__tpd_type__"] == "decimal.Decimal"
    assert loaded[MARK] is True
    assert loaded["__repr__"].startswith("111")


def test_what_capture_cut_before_keeps_the_true_size():
    """A value that capture had cut already still tells the size that it had in the application."""
    cut_list = [*range(100), {MARK: True, "__tpd_size__": 5000}]
    assert json.loads(fit(cut_list, 150)[0])[-1] == {MARK: True, "__tpd_size__": 5000}
    cut_dict = {**{f"k{index}": index for index in range(100)}, MARK: True, "__tpd_size__": 700}
    assert json.loads(fit(cut_dict, 150)[0])["__tpd_size__"] == 700


def test_a_nested_value_is_cut_inside():
    """The cut goes as deep as the value that did not fit, so that what came before it stays."""
    loaded = json.loads(fit({"a": 1, "b": {"c": ["x" * 30] * 100}}, 300)[0])
    assert loaded["a"] == 1
    assert loaded["b"]["c"][0] == "x" * 30
    assert loaded["b"]["c"][-1][MARK] is True


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_what_is_no_json_costs_only_itself(value):
    """A value that capture should never have produced is replaced, not raised over."""
    assert json.loads(fit({"v": value}, 200)[0]) == {"__repr__": "<not representable>"}
