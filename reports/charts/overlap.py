"""Which share of each evaluation's questions training has seen, exactly or nearly."""

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.stacks import Bar, Part, stacks
from reports.names import label


def overlap(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw a bar an evaluation, over all that was trained on by the end of the run."""
    last = {name: found for stage in record.stages for name, found in stage.overlap.items()}
    bars = []
    for name, found in last.items():
        exact, near = len(found.exact), len(found.near)
        parts = (
            Part("not seen", found.questions - exact - near, "better"),
            Part("nearly word for word", near, "neutral"),
            Part("seen", exact, "worse"),
        )
        figure = f"{exact:,} seen, {near:,} nearly" if exact or near else ""
        bars.append(Bar(label(name), parts, figure))
    return stacks(
        "overlap",
        "Questions of the evaluations that training has seen",
        [("", bars)],
        alt=" ".join(f"{bar.label}: {bar.figure or 'none seen'}." for bar in bars),
        width=width,
    )
