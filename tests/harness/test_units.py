import pytest

from harness.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185.2, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3723, "1 h 02 min"),
        (47.5 * 3600, "47 h 30 min"),
        (2694 * 3600, "112 d 06 h"),
        (float("nan"), "not finite"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(900, "0.9 kB"), (16_100_000, "16.1 MB"), (1.65e12, "1.6 TB"), (None, "unknown")],
)
def test_sizes(count, text):
    assert size(count) == text
