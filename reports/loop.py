"""The trainer's own numbers: whatever it reports, section by section, an iteration a column.

    {"judgements": {"asked": 1200, "failed": {"no_score": 3}}}    of M1, and the same of M2

    judgements            M1      M2
    asked                 1,200   1,200
    failed: no_score      3       0

What the numbers mean is the trainer's to say; this room knows only a few shapes: numbers, texts,
nested tables, histograms (keys are numbers), cells (keys are pairs of numbers) and curves (lists of
[step, value]).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from harness.records import RunRecord
from harness.units import duration, size
from reports.blocks import Row, Table
from reports.figures import DASH, plain, visible

KNOWN = ("seeds", "eft", "sft", "prompts", "candidates", "judgements", "pairs", "training")
"""The sections of a self-rewarding round, in the order in which they happen."""
MOST_CELLS = 10
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SECONDS = re.compile(r"(^|_)seconds$")
_BYTES = re.compile(r"(^|_)(bytes|peak_memory)$")
_CELL = re.compile(r"\D{0,2}(-?\d+(?:\.\d+)?)\D{1,4}?(-?\d+(?:\.\d+)?)\D{0,2}")

Values = Mapping[str, JsonValue]


def loop(record: RunRecord) -> Iterator[Table]:
    """Tabulate the trainer's metrics: a table a section, then one for each of its histograms."""
    trained = {
        result.model.name: result.metrics
        for result in record.stages
        if result.stage.kind == "train" and result.metrics
    }
    found = dict.fromkeys(key for metrics in trained.values() for key in metrics)
    found.pop("warnings", None)
    loose = [key for key in found if not any(_is_table(m.get(key)) for m in trained.values())]
    for section in sorted(found, key=lambda key: KNOWN.index(key) if key in KNOWN else len(KNOWN)):
        if section not in loose:
            columns = {
                model: value
                for model, metrics in trained.items()
                if isinstance(value := metrics.get(section), dict)
            }
            yield from _section(section, columns)
    if loose:
        kept = {m: {k: v for k, v in values.items() if k in loose} for m, values in trained.items()}
        yield from _section("other numbers", kept)


def _section(title: str, columns: Mapping[str, Values]) -> Iterator[Table]:
    flat = {model: dict(_flat(values)) for model, values in columns.items()}
    paths = dict.fromkeys(path for values in flat.values() for path in values)
    counts = [p for p in paths if any(_is_table(values.get(p)) for values in flat.values())]
    parents = {path.rpartition(": ")[0] for path in paths}
    rows = tuple(
        Row(_label(path), tuple(_cell(_leaf(values, path), path) for values in flat.values()))
        for path in paths
        if path not in counts and path not in parents
    )
    if rows:
        yield Table(_label(title), tuple(columns), rows)
    for path in counts:
        tables = {model: _counts(values.get(path)) for model, values in flat.items()}
        if any(tables.values()):
            yield _histogram(f"{_label(title)}: {_label(path)}", tables)


def _flat(values: Values, path: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Name every leaf by its path; a histogram is a leaf."""
    for key, value in values.items():
        inside = f"{path}: {key}" if path else key
        if isinstance(value, dict) and value and not _is_histogram(value):
            yield from _flat(value, inside)
        else:
            yield inside, value


def _leaf(values: Values, path: str) -> JsonValue:
    """Find a leaf; a cause that an empty table of causes does not name was met 0 times."""
    parent, _, _ = path.rpartition(": ")
    siblings = parent and any(other.startswith(f"{parent}: ") for other in values)
    if path not in values and (siblings or values.get(parent) == {}):
        return 0
    return values.get(path)


def _is_table(value: JsonValue) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_histogram(value: Values) -> bool:
    return all(
        (_NUMBER.fullmatch(key) or _CELL.fullmatch(key)) and isinstance(count, int | float)
        for key, count in value.items()
    )


def _counts(value: JsonValue) -> dict[str, float]:
    counts = value if isinstance(value, dict) else {}
    return {key: count for key, count in counts.items() if isinstance(count, int | float)}


def _histogram(title: str, tables: Mapping[str, Mapping[str, float]]) -> Table:
    """Tabulate counts with their shares; of pairs of scores only the commonest."""
    totals: dict[str, float] = {}
    for counts in tables.values():
        for key, count in counts.items():
            totals[key] = totals.get(key, 0) + count
    if all(_NUMBER.fullmatch(key) for key in totals):
        shown, note = sorted(totals, key=float), ""
    else:
        shown = sorted(totals, key=lambda key: (-totals[key], key))[:MOST_CELLS]
        left = len(totals) - len(shown)
        note = f"The {len(shown)} commonest; {left} more are not shown." if left else ""
    rows = tuple(
        Row(_pair_or_number(key), tuple(_share(counts, key) for counts in tables.values()))
        for key in shown
    )
    return Table(title, tuple(tables), rows, note)


def _pair_or_number(key: str) -> str:
    pair = None if _NUMBER.fullmatch(key) else _CELL.fullmatch(key)
    return f"{pair[1]} over {pair[2]}" if pair else key


def _share(counts: Mapping[str, float], key: str) -> str:
    count, total = counts.get(key, 0), sum(counts.values())
    return f"{plain(count)} ({count / total:.0%})" if count and total else plain(count)


def _label(name: str) -> str:
    return visible(name.replace("_", " "), longest=60)


def _cell(value: JsonValue, path: str) -> str:
    """Show a leaf in a few words."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, str):
        return visible(value, longest=120)
    if isinstance(value, dict):
        return "none"
    return _list(value, path)


def _number(value: float, path: str) -> str:
    """Write a number, with a unit where its name says which."""
    name = path.rpartition(": ")[2]
    if math.isfinite(value) and _SECONDS.search(name):
        return duration(value) if value >= 1 else f"{value:.2g} s"
    return size(value) if math.isfinite(value) and _BYTES.search(name) else plain(value)


def _list(values: Sequence[JsonValue], path: str) -> str:
    curve = [point for value in values for point in _points(value)]
    if curve and len(curve) == len(values):
        (first_step, first), (last_step, last) = curve[0], curve[-1]
        steps = f"{plain(first_step)}{DASH}{plain(last_step)}"
        return f"{_number(first, path)} → {_number(last, path)} (steps {steps})"
    if all(not isinstance(value, list | dict) for value in values) and len(values) <= 6:
        return ", ".join(_cell(value, path) for value in values) or "none"
    return f"{len(values):,} entries"


def _points(value: JsonValue) -> Iterator[tuple[float, float]]:
    match value:
        case [int() | float() as step, int() | float() as height]:
            yield step, height
