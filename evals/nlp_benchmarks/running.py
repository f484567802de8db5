"""One benchmark through lm-eval: its tasks, its prompts, its scoring; our model and our log.

    run("arc_easy", settings, model, log)   asks what the log lacks
    run("arc_easy", settings, None, log)    answers from the log alone

Both return the same `Run`, so that what was asked once can be marked, and written out in lm-eval's
format, at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval.evaluator import evaluate

from evals.nlp_benchmarks.adapter import Adapter, Item
from evals.nlp_benchmarks.benchmarks import BENCHMARKS, Name
from evals.nlp_benchmarks.quiet import quiet
from evals.nlp_benchmarks.settings import Settings
from evals.nlp_benchmarks.tasks import load
from harness.protocols import LoadedModel
from harness.records import Failure
from harness.rows import RowLog


@dataclass(frozen=True)
class Run:
    """A benchmark as lm-eval ran it."""

    name: Name
    settings: Settings
    raw: Mapping[str, Any]
    """What `lm_eval.evaluate` returned, samples included. Its figures count what failed as wrong:
    `results` has those that do not."""
    failed: Mapping[Item, Failure]
    """By task and row, the items that may be in no figure."""
    truncated: frozenset[Item]


def run(name: Name, settings: Settings, model: LoadedModel | None, log: RowLog) -> Run:
    """Run one benchmark.

    Args:
        name: Which one.
        settings: How.
        model: Whom to ask what the log lacks; None where it lacks nothing.
        log: Where answers are kept.

    Raises:
        DataError: the data cannot be loaded.
        StoreError: the log lacks something, and there is nobody to ask.
    """
    adapter = Adapter(
        model,
        log,
        chat=settings.chat_template,
        truncate=settings.too_long == "truncate",
        max_gen_toks=settings.max_gen_toks,
    )
    with quiet():
        raw = evaluate(
            adapter,
            load(BENCHMARKS[name], settings.data, settings.shots_of(name)),
            limit=settings.limit,
            apply_chat_template=settings.chat_template,
            fewshot_as_multiturn=settings.chat_template,
        )
    return Run(name, settings, raw, adapter.failed, frozenset(adapter.truncated))
