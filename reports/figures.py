"""How numbers, times and foreign texts are written, the same in every report.

    >>> number(0.4375, 3, signed=True)
    '+0.438'
    >>> duration(185.2)
    '3 min 05 s'

Foreign texts are those of models and plug-ins; see `visible`.
"""

import math
from collections.abc import Iterable, Sequence

LONGEST_TEXT = 480
"""Characters of a model's text that a report shows."""
DASH = "\N{EN DASH}"
"""Between the ends of a range, and where there is nothing."""
_JOINERS = "\u200c\u200d"


def number(value: float, places: int, *, signed: bool = False) -> str:
    """Write a number; what rounds to zero has no sign."""
    if not math.isfinite(value):
        return "not finite"
    if round(value, places) == 0:
        return f"{0:.{places}f}"
    return f"{value:{'+' if signed else ''},.{places}f}"


def places(values: Iterable[float | None]) -> int:
    """Choose how many decimals a row of numbers needs: shares three, points two, counts less."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max(sizes, default=0.0)
    return 3 if largest <= 1 else 2 if largest < 10 else 1


def plain(value: float) -> str:
    """Write a number of unknown kind: whole numbers whole, others to four significant digits."""
    if not math.isfinite(value):
        return "not finite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if not 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    return f"{value:.4g}"


def percent(part: float, whole: float) -> str:
    """Write a share of a whole; what is neither nothing nor all is not written so."""
    written = f"{part / whole:.0%}"
    if written == "0%" and part:
        return "<1%"
    return ">99%" if written == "100%" and part != whole else written


def counted(count: int, noun: str) -> str:
    """Write how many there are of something: `1 call`, `1,200 calls`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(counts: Sequence[int]) -> str:
    """Write every count: `120 / 90 / 120`."""
    return " / ".join(f"{count:,}" for count in counts)


def ranged(counts: Sequence[int]) -> str:
    """Write counts as a range, `90-120` with a dash."""
    ends = (min(counts), max(counts)) if counts else ()
    return DASH.join(f"{count:,}" for count in dict.fromkeys(ends))


def visible(text: str, longest: int = LONGEST_TEXT) -> str:
    """Make a foreign text one line of characters that can be seen, cut to a length.

    Control characters become their pictures and other invisible ones their code points, so that a
    text can neither hide nor act.
    """
    shown = "".join(_shown(character) for character in text[:longest])
    left = len(text) - longest
    return f"{shown} … ({left:,} more characters)" if left > 0 else shown


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if character == "\n":
        return " ⏎ "
    if character == "\t" or character.isspace():
        return " "
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return f"<U+{code:04X}>"
