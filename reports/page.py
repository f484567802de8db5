"""A whole report: which sections there are, and in which order.

`overview` is what a reader wants in ten seconds and fits a terminal; `details` is what stands
behind it. What a run does not have is said in a sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from harness.records import RunRecord
from reports import tables
from reports.answers import answers
from reports.blocks import Block, Points, Section
from reports.cautions import cautions
from reports.figures import plain, visible
from reports.findings import findings
from reports.headlines import headlines
from reports.loop import loop
from reports.series import chosen, evaluations, missing_stages, models


@dataclass(frozen=True)
class Overview:
    """What a reader wants to know first."""

    findings: tuple[Section, ...]
    """What ran, what it shows, what to be careful with."""
    figures: tuple[Section, ...]
    """Every measurement, and what the run took."""


def overview(record: RunRecord) -> Overview:
    """Say what ran and what it shows, and tabulate every measurement."""
    warnings = cautions(record)
    care = Section("Read with care", (Points(tuple(("", w) for w in warnings), tone="warning"),))
    return Overview(
        findings=(
            Section("Run", (_state(record), _what_ran(record))),
            Section("What it shows", (findings(record),)),
            *((care,) if warnings else ()),
        ),
        figures=(
            Section("Measurements", _measurements(record)),
            Section("Time and tokens", tuple(tables.stage_costs(record)) or (_NO_COSTS,)),
        ),
    )


def details(record: RunRecord) -> Iterator[Section]:
    """Categories, differences, the loop's own numbers, answers, costs and versions."""
    series = evaluations(record)
    parts = tuple(table for one in series for table in tables.parts(one))
    if parts:
        yield Section("Part by part", parts)
    yield Section("The loop's own numbers", tuple(loop(record)) or (_no_loop(record),))
    yield Section(
        "What each model answered",
        tuple(answers(record)) or ("No evaluation kept answers of all models to the same items.",),
    )
    yield Section("Costs by part", tuple(tables.costs(record)) or (_NO_COSTS,))
    yield Section("Versions", (_environment(record),))


def _no_loop(record: RunRecord) -> str:
    if any(result.stage.kind == "train" for result in record.stages):
        return "The trainer reported no numbers."
    return "Nothing has been trained in this run."


_NO_COSTS = "No finished stage has costs."


def _state(record: RunRecord) -> str:
    """Say how far the run is."""
    missing = missing_stages(record)
    done = sum(result.finished for result in record.stages)
    if record.stopped:
        why = visible(record.stopped)
        return f"Stopped after {done} of {done + len(missing)} stages: {why}"
    if not done:
        return "Not a single stage has finished yet: give the same command again to continue."
    if missing:
        return (
            f"Not finished: {done} of {done + len(missing)} stages are done; still to come: "
            f"{', '.join(map(str, missing))}. Give the same command again to continue."
        )
    names = ", ".join(model.name for model in models(record))
    return f"Finished: {done} stage{'s' if done > 1 else ''}, models {names}."


def _what_ran(record: RunRecord) -> Points:
    request = record.request
    base = next(iter(models(record)), None)
    fingerprint = f" (weights {base.fingerprint})" if base and base.fingerprint else ""
    return Points(
        tuple(
            (name, visible(value))
            for name, value in (
                ("Model", chosen(request.get("model")) + fingerprint),
                ("Trainer", f"{chosen(request.get('trainer'))}, {_rounds(record)}"),
                ("Judge", chosen(request.get("judge"))),
                ("Seed", str(request.get("seed", "not stated"))),
                ("Versions", _versions(record)),
            )
        )
    )


def _rounds(record: RunRecord) -> str:
    trained = sum(result.stage.kind == "train" for result in record.stages)
    asked = record.request.get("iterations", "unknown")
    return f"{trained} of {asked} iterations"


def _versions(record: RunRecord) -> str:
    environment = record.environment
    packages = environment.get("packages")
    named = {"harness": environment.get("harness"), "python": environment.get("python")}
    if isinstance(packages, dict):
        named |= {name: packages.get(name) for name in ("torch", "transformers", "trl")}
    return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "not recorded"


def _measurements(record: RunRecord) -> tuple[Block, ...]:
    series = evaluations(record)
    if not series:
        return ("Nothing was measured in this run, so far.",)
    blocks: list[Block] = [*headlines(record)]
    blocks += [table for one in series for table in tables.measurements(one)]
    blocks += tables.differences(record)
    measured = {model for one in series for model in one.results}
    blocks += [
        f"{model.name} was not measured." for model in models(record) if model.name not in measured
    ]
    return tuple(blocks)


def _environment(record: RunRecord) -> Block:
    found = tuple((visible(name, longest=60), text) for name, text in _flat(record.environment))
    return Points(found) if found else "Nothing was recorded about where it ran."


def _flat(values: dict[str, JsonValue], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{path}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list):
            yield name, visible(", ".join(str(part) for part in value)) or "none"
        elif isinstance(value, bool) or not isinstance(value, int | float):
            yield name, visible(str(value))
        else:
            yield name, plain(value)
