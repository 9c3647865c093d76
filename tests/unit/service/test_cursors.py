"""Cursors and idempotency keys as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import Invalid
from tuner.service.cursors import decode, encode
from tuner.service.idempotency import make_key


@given(st.none() | st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**53))
def test_a_cursor_carries_its_parts_exactly(mark, number):
    cursor = encode("trials", mark, number)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")
    assert decode(cursor, "trials", (float, type(None)), int) == [mark, number]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!",
        "é",
        encode("studies", 1.5, 3),
        encode("trials", 1.5),
        encode("trials", 1.5, 3, 4),
        encode("trials", "a", 3),
        encode("trials", *[True, 3]),
        encode("trials", 1.5, 3.5),
        "e30",
        "W1t",
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(cursor):
    with pytest.raises(Invalid) as caught:
        decode(cursor, "trials", float, int)
    assert caught.value.errors[0].path == "cursor"


def test_a_key_stands_for_call_and_body_whatever_the_order_of_keys():
    key = make_key("k", "POST /a", {"x": 1, "y": [2.5]})
    assert key == make_key("k", "POST /a", {"y": [2.5], "x": 1})
    assert key != make_key("k", "POST /b", {"x": 1, "y": [2.5]})
    assert key != make_key("k", "POST /a", {"x": True, "y": [2.5]})
    assert make_key(None, "POST /a", {}) is None
