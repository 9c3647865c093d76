"""JSON: strict in, exact out."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.wire import (
    MAX_DEPTH,
    canonical,
    check_plain,
    decode_metric,
    dumps,
    encode_metric,
    loads,
)
from tuner.errors import Invalid

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@given(plain)
def test_what_is_written_is_read_exactly(value):
    again = loads(dumps(value).encode())
    assert again == value
    assert dumps(again) == dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        "-1e999",
        "9223372036854775808",
        "1" * 400,
        "1" * 5000,
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '"\\u0000"',
        '{"\\u0000": 1}',
        '"\\ud800"',
        '{"\\udfff": 1}',
        "",
        "{",
        "[1,]",
        "{'a': 1}",
        "01",
        "nul",
        "1 2",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2),
        "[" * 200_000,
        '{"a":' * 200_000,
    ],
    ids=lambda text: repr(text)[:20],
)
def test_what_cannot_be_kept_exactly_is_refused(text):
    with pytest.raises(Invalid) as caught:
        loads(text)
    assert len(str(caught.value)) < 300
    json.dumps(caught.value.to_problem()).encode()


@pytest.mark.parametrize(
    "text", ["9223372036854775807", "-0.0", "5e-324", "1.7976931348623157e308"]
)
def test_the_edges_of_the_range_are_kept(text):
    assert dumps(loads(text)) == text or math.isclose(loads(text), float(text))


def test_integers_and_floats_stay_what_they_are():
    assert [type(value) for value in loads("[1, 1.0, true]")] == [int, float, bool]
    assert dumps([1, 1.0, True]) == "[1,1.0,true]"


def test_writing_refuses_what_is_not_json():
    for value in (math.nan, math.inf, {1, 2}, object()):
        with pytest.raises((ValueError, TypeError)):
            dumps(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, math.nan]}, "a[1]"),
        ({"a": {"b": "\0"}}, "a.b"),
        ({"a": {3: 1}}, "a"),
        ({"a": object()}, "a"),
        ({"a": 2**63}, "a"),
    ],
)
def test_plain_values_are_checked_with_their_path(value, path):
    with pytest.raises(Invalid) as caught:
        check_plain(value)
    assert caught.value.errors[0].path == path


def test_canonical_text_does_not_depend_on_the_order_of_keys():
    assert canonical({"b": 1, "a": [1.5, None]}) == canonical({"a": [1.5, None], "b": 1})
    assert canonical({"a": 1}) != canonical({"a": True})


def test_metric_values_that_are_not_finite_travel_as_strings():
    for value in (math.inf, -math.inf, 1.5, -0.0):
        assert decode_metric(encode_metric(value)) == value
    assert math.isnan(decode_metric(encode_metric(math.nan)))
    assert encode_metric(None) == "NaN"
    for wrong in (True, "nan", "inf", None, [1], "1", 10**400):
        assert decode_metric(wrong) is None
