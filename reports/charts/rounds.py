"""The loop's health, round by round: what the judge gave, what was lost, what was learnt from.

Only a trainer that reports these numbers has the drawings, as the self-rewarding one does; what
others report stands in tables.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.histograms import Histogram, histograms
from reports.charts.ink import Ink, inks
from reports.charts.measures import names
from reports.charts.panels import Line, Panel, Place, panels
from reports.charts.stacks import Bar, Part, stacks
from reports.names import label

_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,9})?")

Values = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Round:
    """One training that learnt from what a model wrote and judged."""

    model: str
    """What came out."""
    judge: str
    """Who wrote and judged: the model that it was trained from."""
    metrics: Values

    def section(self, name: str) -> Values:
        """A section of the trainer's numbers; empty where there is none."""
        found = self.metrics.get(name)
        return found if isinstance(found, dict) else {}


def rounds(record: RunRecord) -> tuple[Round, ...]:
    """Find the trainings that report judgements."""
    return tuple(
        Round(stage.model.name, stage.model.parent or f"for {stage.model.name}", stage.metrics)
        for stage in record.stages
        if stage.stage.kind == "train" and isinstance(stage.metrics.get("judgements"), dict)
    )


def scores(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw which scores each model gave its own answers."""
    shown = [
        Histogram(
            f"{one.judge} judges itself",
            _by_value(one.section("judgements")),
            inks(names(record)).get(one.judge, Ink("neutral")),
        )
        for one in rounds(record)
    ]
    title = "Scores that models gave their own answers"
    note = "Shares of the verdicts that could be read, all on one scale."
    return histograms("scores", title, shown, note=note, width=width)


def _by_value(judgements: Values) -> dict[float, float]:
    counts = judgements.get("score_histogram")
    found = {}
    for value, count in counts.items() if isinstance(counts, dict) else ():
        if _NUMBER.fullmatch(value) and (whole := _counted(count)):
            found[float(value)] = whole
    return found


def _counted(value: JsonValue) -> float:
    """Read a count; what is none counts nothing."""
    # Beyond 2**53 a float does not count one by one, and sums of such leave the drawing.
    is_count = isinstance(value, int | float) and 0 < value <= 2**53
    return float(value) if is_count and isinstance(value, int | float) else 0.0


def _count(values: Values, key: str) -> float:
    return _counted(values.get(key))


def yields(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw what became of every round's answers, verdicts and prompts."""
    groups = [
        (f"{one.judge} writes and judges, {one.model} learns", tuple(_bars(one)))
        for one in rounds(record)
    ]
    alt = " ".join(
        f"{heading}. {bar.label}: "
        f"{', '.join(f'{part.count:,.0f} {part.name}' for part in bar.parts if part.count)}."
        for heading, bars in groups
        for bar in bars
    )
    title = "From prompts to pairs: what each round kept"
    return stacks("yields", title, groups, alt=alt, width=width)


def _bars(one: Round) -> Iterator[Bar]:
    candidates, judgements, pairs = map(one.section, ("candidates", "judgements", "pairs"))
    yield _bar(
        "answers",
        Part("ended", _count(candidates, "ended"), "better"),
        (
            Part("cut off", _count(candidates, "truncated"), "worse"),
            *_causes(candidates.get("failed"), "worse"),
        ),
    )
    if "read" in judgements:
        read = Part("read", _count(judgements, "read"), "better")
        yield _bar("verdicts", read, _causes(judgements.get("failed"), "worse"))
    paired = Part("with a pair", _count(pairs, "pairs"), "better")
    yield _bar("prompts", paired, _causes(pairs.get("without"), "neutral"))


def _bar(label: str, kept: Part, lost: Iterable[Part]) -> Bar:
    """Divide a bar, and write out what was lost, whose parts may be too small for words."""
    parts = tuple(part for part in lost if part.count)
    return Bar(label, (kept, *parts), ", ".join(f"{part.count:,.0f} {part.name}" for part in parts))


def _causes(counts: JsonValue, tone: str) -> Iterator[Part]:
    for cause, count in counts.items() if isinstance(counts, dict) else ():
        if whole := _counted(count):
            yield Part(label(cause), whole, tone)


def contrasts(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw how chosen and rejected answers differ: in score, and in length."""
    found = rounds(record)
    lengths = (
        _line(found, "chosen", "chosen_tokens"),
        _line(found, "rejected", "rejected_tokens", hollow=True),
    )
    gaps, ties = _line(found, "", "score_gap"), _line(found, "", "tie_rate")
    zero = (0.0, "")
    shown = (
        Panel("Score gap", "points, chosen minus rejected", (gaps,), reference=zero),
        Panel("Length", "tokens of an answer, mean", lengths, reference=zero),
        Panel("Ties", "share of prompts judged", (ties,), reference=zero),
    )
    title = "The pairs that each model learnt from"
    return panels("pairs", title, shown, inks(names(record)), width=width)


def _line(found: tuple[Round, ...], name: str, metric: str, *, hollow: bool = False) -> Line:
    places = []
    for one in found:
        value = one.section("pairs").get(metric)
        known = float(value) if isinstance(value, int | float) else None
        places.append(Place(one.model, known, missing="not told"))
    return Line(name, tuple(places), hollow)
