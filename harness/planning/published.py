"""How large well-known evaluations are, for a plan where their data are not at hand."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from harness.planned import Work
from harness.protocols import Workload
from harness.records import ModelRef


def sizes(
    options: Mapping[str, Any], part: str, model: ModelRef, before: int
) -> tuple[list[Work] | None, Workload]:
    """Say what an evaluation asks of a model, and of the judge about it.

    Args:
        options: The evaluation's, as the run keeps them.
        part: What the part of the stage is called.
        model: Who is measured.
        before: How many models were measured before it.

    Returns:
        The model's work, None where the size is not known; new tokens are left open.
    """
    known = _table().get(options["name"])
    if known is None:
        return None, Workload()
    work = [
        Work(
            part,
            ask["kind"],
            model,
            ask["rows"],
            ask["rows"] // ask.get("samples", 1) * ask["prompt"],
            samples=ask.get("samples", 1),
            most=min(ask.get("most", 1 << 30), options.get("max_tokens") or 1024),
        )
        for ask in known["asks"]
    ]
    calls = _calls(known.get("marks", {}), int(options.get("judgements") or 1))
    calls += _calls(known.get("opponent", {}), before)
    if before == 0 and "external" in options.get("judges", ()):
        calls += _calls(known.get("external", {}), 1)
    return work, calls


def _calls(figures: Mapping[str, int], times: int) -> Workload:
    return Workload(*(times * figures.get(name, 0) for name in ("calls", "input", "output")))


@cache
def _table() -> Mapping[str, Any]:
    text = (resources.files("harness.planning") / "published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
