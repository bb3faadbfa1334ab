"""Times of images."""

from __future__ import annotations

import calendar
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.engine.moment import moment, seconds_of


@given(st.integers(-(62 * 10**9), 25 * 10**10))
def test_the_way_there_and_back(seconds: int) -> None:
    text = moment(seconds)
    if len(text) == 20:  # a year of four digits
        assert seconds_of(text) == seconds == calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


@given(st.text(st.sampled_from("0123456789-T:Z."), min_size=15, max_size=24))
def test_what_is_no_time_is_zero(text: str) -> None:
    try:
        expected = float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        expected = 0.0
    # strptime also takes numbers with fewer digits.
    assert seconds_of(text) in (expected, 0.0)


@pytest.mark.parametrize(
    "text", ["", "now", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "٢٠24-01-01T00:00:00Z"]
)
def test_odd_times(text: str) -> None:
    assert seconds_of(text) == 0.0


def test_leap_days_and_fractions() -> None:
    assert seconds_of("2024-02-29T12:00:00.5Z") == calendar.timegm((2024, 2, 29, 12, 0, 0))
    assert seconds_of("1970-01-01T00:00:00Z") == 0.0
