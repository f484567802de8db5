"""What ran: how far it is, of which models, on what data, by which judge, at what cost.

Model    microworld (weights bb5b643e5b289c0c)
Engine   transformers, float32, on the CPU
Trained  SFT (weights a709554c77e1489c), M1 (weights 55f07c34e1e2ac05)
Judge    examiner, through the engine examiner (...)
"""

from collections.abc import Iterator

from pydantic import JsonValue

from harness.records import Bill, Cost, RunRecord
from harness.units import duration
from reports.blocks import Block, Points
from reports.engines import engine, hardware, names
from reports.figures import LONGEST_TEXT, counted, plain, visible
from reports.names import label
from reports.series import chosen, evaluations, missing_stages, models

_LONGEST = 4 * LONGEST_TEXT
"""Characters of a line: judges and files are named whole."""
_TRAINING_DATA = {"ift": "IFT", "eft": "EFT", "file": "prompts"}
"""What a trainer's request calls the data it learns from, and what they are called here."""
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


_EMBEDDED = {"microworld": "a tiny one on small made-up questions, all shipped with the harness"}
"""By location, what a model is that a reader cannot know."""


def what_ran(record: RunRecord) -> Points:
    """Name what a reader needs to know to run the same, and what it took."""
    request = record.request
    base = chosen(request.get("model"))
    first = next(iter(models(record)), None)
    known = (
        _EMBEDDED.get(base),
        f"weights {first.fingerprint}" if first and first.fingerprint else None,
    )
    if beside := ", ".join(filter(None, known)):
        base = f"{base} ({beside})"
    return Points(
        tuple(
            (name, visible(value, longest=_LONGEST))
            for name, value in (
                ("Model", base),
                ("Engine", engine(record, request.get("engine"), request.get("model"))),
                ("Trainer", f"{chosen(request.get('trainer'))}, {_rounds(record)}"),
                ("Seed", str(request.get("seed", "not stated"))),
                ("Trained", _trained(record)),
                ("Training data", _training_data(record)),
                ("Hardware", hardware(record)),
                ("Versions", _versions(record)),
                ("Time", _time(record)),
                ("Money", _money(record)),
                ("Evaluations", _questions(record)),
                ("Judge", _judge(record)),
            )
        )
    )


def _trained(record: RunRecord) -> str:
    """Name the weights that came out."""
    found = [f"{one.name} (weights {one.fingerprint or 'unknown'})" for one in models(record)[1:]]
    return ", ".join(found) or "nothing"


def _training_data(record: RunRecord) -> str:
    """Name every data set that was learned from with what for, and of a file its hash."""
    hashes = record.request.get("contents")
    uses: dict[str, list[str]] = {}
    for name, use in _learned(record.request.get("trainer")):
        uses.setdefault(name, []).append(use)
    known = hashes if isinstance(hashes, dict) else {}
    named = {name: f"{name} ({known[name]})" if name in known else name for name in uses}
    said = (f"{named[name]} for {', '.join(dict.fromkeys(of))}" for name, of in uses.items())
    return "; ".join(said) or "not stated"


def _learned(value: JsonValue) -> Iterator[tuple[str, str]]:
    """Find the data sets that a trainer's request names, wherever in it, and what for."""
    for key, inside in value.items() if isinstance(value, dict) else ():
        if key in _TRAINING_DATA:
            named = inside if isinstance(inside, list) else [inside]
            yield from ((one, _TRAINING_DATA[key]) for one in named if isinstance(one, str))
        else:
            yield from _learned(inside)


def _judge(record: RunRecord) -> str:
    """Name the judge as the request does, and as the results do, who know it exactly."""
    asked: dict[str, dict[str, None]] = {}
    for stage in record.stages:
        for result in stage.evaluations:
            if result.judge:
                name, _, how = result.judge.partition(", ")
                asked.setdefault(name, {})[how] = None
    marked = "; ".join(": ".join(filter(None, (n, "; ".join(h)))) for n, h in asked.items())
    asked_for = record.request.get("judge")
    wanted = chosen(asked_for)
    if isinstance(asked_for, dict) and (model := asked_for.get("model")) is not None:
        by = engine(record, asked_for.get("engine"), model)
        wanted = f"{chosen(model)}, through the engine {by}"
    return f"{wanted} ({marked})" if marked else wanted


def _questions(record: RunRecord) -> str:
    """Name every evaluation, with the data that it asks and how many items it marks."""
    choices = record.request.get("evaluations")
    data = {
        str(choice.get("label") or choice.get("name")): choice["data"]
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict) and choice.get("data")
    }
    found = []
    for series in evaluations(record):
        asked = max(len({item.id for item in r.items}) for r in series.results.values())
        told = (f"{asked:,}" if asked else "", str(data.get(series.name, "")))
        beside = " of ".join(filter(None, told))
        found.append(f"{label(series.name)} ({beside})" if beside else label(series.name))
    return ", ".join(found) or "none so far"


def _time(record: RunRecord) -> str:
    whole = sum((c for result in record.stages for c in result.costs.values()), start=Cost())
    if not whole.seconds:
        return "not recorded"
    expected = record.plan.seconds if record.plan else None
    beside = f" (planned: {duration(expected)})" if expected is not None else ""
    return f"{duration(whole.seconds)}{beside}, {whole.new_tokens:,} tokens written"


def _money(record: RunRecord) -> str:
    """Say what models on servers have cost; a model that ran here has no bill."""
    return "; ".join(map(_bill, record.bills)) or "nothing: no model on a server was asked"


def _bill(bill: Bill) -> str:
    """Say what is known of a bill, and of how many calls nothing is."""
    every = sum(bill.calls.values())
    calls = f"{counted(every, 'call')} of {bill.model}"
    if bill.dollars is not None:
        without = f", without {bill.unpriced:,} whose cost is unknown" if bill.unpriced else ""
        return f"${bill.dollars:,.2f} for {calls}{without}"
    if bill.unpriced < every:  # the others were refused, or never reached the server
        return f"unknown for {bill.unpriced:,} of {calls}, nothing for the others"
    return f"unknown for {calls}"


def _rounds(record: RunRecord) -> str:
    trained = sum(result.stage.kind == "train" for result in record.stages)
    asked = record.request.get("iterations", "unknown")
    return f"{trained} of {asked} iterations"


def _versions(record: RunRecord) -> str:
    environment = record.environment
    packages = environment.get("packages")
    named = {"harness": environment.get("harness"), "python": environment.get("python")}
    if isinstance(packages, dict):
        judge = record.request.get("judge")
        answered = [
            record.request.get("engine"),
            judge.get("engine") if isinstance(judge, dict) else None,
        ]
        engines = [name for choice in answered for name in names(choice)]
        named |= {name: packages.get(name) for name in ("torch", "transformers", "trl", *engines)}
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
