"""What ran: how far it is, of which models, by which judge, with which versions, at what cost."""

from collections.abc import Iterator

from pydantic import JsonValue

from harness.records import Bill, Cost, RunRecord
from reports.blocks import Block, Points
from reports.figures import duration, plain, visible
from reports.series import chosen, evaluations, missing_stages, models

MOST_STAGES = 6
"""Of those to come, how many are named."""


def state(record: RunRecord) -> str:
    """Say how far the run is."""
    missing = missing_stages(record)
    done = sum(result.finished for result in record.stages)
    if record.stopped:
        why = visible(record.stopped)
        return f"Stopped after {done} of {done + len(missing)} stages: {why}"
    if not done:
        return "Not a single stage has finished yet: give the same command again to continue."
    if missing:
        shown = [*map(str, missing[:MOST_STAGES])]
        if len(missing) > MOST_STAGES:
            shown.append(f"and {len(missing) - MOST_STAGES:,} more")
        return (
            f"Not finished: {done} of {done + len(missing)} stages are done; still to come: "
            f"{', '.join(shown)}. Give the same command again to continue."
        )
    names = ", ".join(model.name for model in models(record))
    return f"Finished: {done} stage{'s' if done > 1 else ''}, models {names}."


def what_ran(record: RunRecord) -> Points:
    """Name what a reader needs to know to run the same, and what it took."""
    request = record.request
    base = next(iter(models(record)), None)
    fingerprint = f" (weights {base.fingerprint})" if base and base.fingerprint else ""
    return Points(
        tuple(
            (name, visible(value))
            for name, value in (
                ("Model", chosen(request.get("model")) + fingerprint),
                ("Trainer", f"{chosen(request.get('trainer'))}, {_rounds(record)}"),
                ("Evaluations", ", ".join(s.name for s in evaluations(record)) or "none so far"),
                ("Judge", _judge(record)),
                ("Seed", str(request.get("seed", "not stated"))),
                ("Versions", _versions(record)),
                ("Time", _time(record)),
                ("Money", _money(record)),
            )
        )
    )


def _judge(record: RunRecord) -> str:
    """Name the judge as the request does, and as the results do, who know it exactly."""
    marked = dict.fromkeys(
        result.judge for stage in record.stages for result in stage.evaluations if result.judge
    )
    asked = chosen(record.request.get("judge"))
    return f"{asked} ({'; '.join(marked)})" if marked else asked


def _time(record: RunRecord) -> str:
    whole = sum((c for result in record.stages for c in result.costs.values()), start=Cost())
    if not whole.seconds:
        return "not recorded"
    return f"{duration(whole.seconds)}, {whole.new_tokens:,} tokens written"


def _money(record: RunRecord) -> str:
    """Say what models on servers have cost; a model that ran here has no bill."""
    return "; ".join(map(_bill, record.bills)) or "nothing: no model on a server was asked"


def _bill(bill: Bill) -> str:
    known = "cost unknown" if bill.dollars is None else f"${bill.dollars:,.2f}"
    unknown = f", and unknown for {bill.unpriced:,} calls" if bill.unpriced else ""
    return f"{known}{unknown} for {sum(bill.calls.values()):,} calls of {bill.model}"


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


def environment(record: RunRecord) -> Block:
    """List everything that was recorded about where it ran."""
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
