"""What upstreams say about their limits (docs/rules.md: R5)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sidecar.upstreams.rate_headers import retry_after_seconds, window_reset_seconds

UNIX = 1_795_000_000.0  # Wed, 18 Nov 2026 11:06:40 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("300", 300.0),
        ("301", 300.0),
        ("9" * 400, 300.0),
        ("9" * 5000, None),
        ("-5", None),
        ("1.5", None),
        ("1_0", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Wed, 18 Nov 2026 11:06:52 GMT", 12.0),
        ("Wed, 18 Nov 2026 11:06:40 GMT", 0.0),
        ("Wed, 18 Nov 2026 10:06:40 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Wed, 99 Nov 2026 11:06:52 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_at_most_five_minutes_away(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(value, UNIX) == seconds


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, -?\d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+]?\w+"))
def test_no_retry_after_does_harm(value: str) -> None:
    seconds = retry_after_seconds(value, UNIX)
    assert seconds is None or 0 <= seconds <= 300


def reset(remaining: str, at: str) -> float | None:
    return window_reset_seconds({"x-ratelimit-remaining": remaining, "x-ratelimit-reset": at}, UNIX)


@pytest.mark.parametrize(
    ("remaining", "at", "seconds"),
    [
        ("0", "1795000004", 4.0),
        ("-3", "1795000004", 4.0),
        ("0", "1795000004.5", 4.5),
        ("1", "1795000004", None),
        ("0", "1795000000", None),
        ("0", "1794999999", None),
        ("0", "1795000060", 60.0),
        ("0", "1795000061", None),
        ("0", "1795000004000", None),
        ("0", "4", None),
        ("0", "nan", None),
        ("0", "inf", None),
        ("0", "soon", None),
        ("none", "1795000004", None),
    ],
)
def test_jupiters_reset_counts_only_when_no_call_is_left_and_within_its_window(
    remaining: str, at: str, seconds: float | None
) -> None:
    assert reset(remaining, at) == seconds


def test_without_either_header_nothing_is_said() -> None:
    assert window_reset_seconds({}, UNIX) is None
    assert window_reset_seconds({"x-ratelimit-remaining": "0"}, UNIX) is None
    assert window_reset_seconds({"x-ratelimit-reset": "1795000004"}, UNIX) is None


def test_the_case_of_a_headers_name_does_not_matter() -> None:
    headers = CIMultiDict({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795000004"})
    assert window_reset_seconds(headers, UNIX) == 4.0


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_reset_does_harm(remaining: str, at: str) -> None:
    seconds = reset(remaining, at)
    assert seconds is None or (math.isfinite(seconds) and 0 < seconds <= 60)
