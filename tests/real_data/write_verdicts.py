"""Give ranked answers verdicts to learn judging from, by a stated rule and without a model.

    python tests/real_data/write_verdicts.py data/preferences/oasst2_eft_quality.jsonl \
        --out verdicts.jsonl

    {"prompt_text": ..., "response_text": ..., "quality_score": 0.82}
    ->  the same with "verdict": "It answers the request ... from an assistant's view.\nScore: 4"

Annotator: template from the human quality label. The labels of the file are cut into six equally
large classes, 0 to 5 points, and each class has one sentence after the levels of the `five_points`
rubric. A model that learns from this learns how a verdict looks, and something of which answers
people like; the sentence gives no reason of its own.
"""

import argparse
import bisect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data.files import read_table

LABEL = "quality_score"
REASONS = (
    "It has nothing to do with the request.",
    "It is relevant, but deals with little of what was asked.",
    "It deals with a substantial part of the request, but does not resolve it.",
    "It answers the basic parts of the request in a useful way.",
    "It answers the request directly and completely, from an assistant's view.",
    "It is made for this very request, and shows expert knowledge.",
)


def with_verdicts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add the verdict to every row that has a label; the others are left out."""
    labelled = [row for row in rows if row.get(LABEL) is not None]
    labels = sorted(row[LABEL] for row in labelled)
    return [{**row, "verdict": verdict(points(row[LABEL], labels))} for row in labelled]


def points(label: float, labels: Sequence[float]) -> int:
    """Give 0 to 5 points by the share of all (sorted) labels that are lower; equals get the same.

    >>> [points(label, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) for label in (0.1, 0.3, 0.6)]
    [0, 2, 5]
    """
    return len(REASONS) * bisect.bisect_left(labels, label) // len(labels)


def verdict(points: int) -> str:
    """Write a verdict in the form that the rubric asks for."""
    return f"{REASONS[points]}\nScore: {points}"


def main() -> None:
    """Read the command line, annotate, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help=f"answers with a column {LABEL}")
    parser.add_argument("--out", type=Path, required=True, help="where the rows are written")
    given = parser.parse_args()
    rows = read_table(given.source).rows
    annotated = with_verdicts(rows)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in annotated)
    given.out.write_text("".join(lines), encoding="utf-8")
    scores = Counter(row["verdict"].rpartition(" ")[2] for row in annotated)
    print(f"{given.out}: {len(annotated)} of {len(rows)} answers")
    print("points:", ", ".join(f"{count} x {score}" for score, count in sorted(scores.items())))


if __name__ == "__main__":
    main()
