"""Times and sizes, as a person says them."""

import math

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of one number, by its type."""


def duration(seconds: float) -> str:
    """Write a time: `9.1 s`, `3 min 02 s`, `5 h 08 min`, `112 d 06 h`."""
    if not math.isfinite(seconds):
        return "not finite"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {rest:02d} s"
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24:,} d {hours % 24:02d} h"


def size(count: float | None) -> str:
    """Write a number of bytes: `76.1 GB`, `16.1 MB`, or `unknown`."""
    if count is None:
        return "unknown"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"
