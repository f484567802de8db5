r"""Does the model still know what it knew? ARC, HellaSwag, SIQA, PIQA, GSM8K, MMLU, OBQA and NQ.

    context   "Question: What does the dog do?\nAnswer:"
    choices   " It barks."  -4.1      " It moos."  -9.6      the likelier one counts: right, 1

lm-eval's own task definitions write the contexts and score the answers, so that the figures are
those that everybody publishes: `arc_easy` ... `nq`, shares from 0 to 1, each by the metric that is
usual for it, and every other one beside it, as `arc_easy/acc_norm`. An item that does not fit the
model's context, or failed in another way, is in no figure and is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar

from evals import answers
from evals.nlp_benchmarks import items, results
from evals.nlp_benchmarks.benchmarks import BENCHMARKS, FEWSHOT_SEED, METRICS, NAMES, Name
from evals.nlp_benchmarks.data import HUB, read
from evals.nlp_benchmarks.items import Marked
from evals.nlp_benchmarks.settings import Settings
from evals.protocol import protocol
from harness.errors import ConfigError
from harness.protocols import LoadedModel
from harness.records import EvalResult, Metric, ModelRef
from harness.rows import RowLog
from harness.statistics.intervals import mean_of_means, share

if TYPE_CHECKING:
    from evals.nlp_benchmarks.running import Run


class NLPBenchmarks:
    """Nine benchmarks of knowledge and reasoning, as lm-eval asks and scores them."""

    needs_judge: ClassVar[bool] = False

    class Config(Settings):
        """Which benchmarks are asked, and how."""

    def __init__(self, config: Config) -> None:
        """Check the data before anything is asked.

        Raises:
            ConfigError: contexts cannot be cut where a chat template is used.
            DataError: a file, a column or a right answer is missing.
        """
        if config.chat_template and config.too_long == "truncate":
            raise ConfigError(
                'nlp_benchmarks: `too_long = "truncate"` would cut a conversation in the middle of '
                "its chat template; take one of the two"
            )
        self.config = config
        if config.data != HUB:
            for name in config.benchmarks:
                read(config.data, name, config.shots_of(name))

    def question_texts(self) -> dict[str, str]:
        """Say what is asked, by item id; nothing of the hub's data, which lm-eval reads itself."""
        return {
            items.item_id(
                name, row["subject"] if benchmark.by_subject else None, number
            ): benchmark.question(row)
            for name in (self.config.benchmarks if self.config.data != HUB else ())
            if (benchmark := BENCHMARKS[name])
            for number, row in self._numbered(name)
        }

    def _numbered(self, name: Name) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Number the rows that are asked as lm-eval does: of MMLU, in each subject anew."""
        numbers: Counter[str] = Counter()
        for row in read(self.config.data, name, self.config.shots_of(name)).evaluated:
            task = row["subject"] if BENCHMARKS[name].by_subject else ""
            if self.config.limit is None or numbers[task] < self.config.limit:
                yield numbers[task], row
            numbers[task] += 1

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model answer what the log lacks."""
        answers.keep_chat_template(model, log)
        for _ in self._runs(model, log):
            pass

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel | None,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Score the answers by lm-eval's own definitions.

        Raises:
            RuntimeError: nothing failed, and yet a figure differs from lm-eval's own.
        """
        marked: dict[Name, list[Marked]] = {}
        hashes = []
        for run in self._runs(None, log):
            results.figures(run)  # checks them
            marked[run.name] = items.mark(run)
            hashes.append(results.prompts_hash(run))
        return EvalResult(
            evaluation="nlp_benchmarks",
            model=model.name,
            protocol=protocol("nlp_benchmarks", self._how, *hashes),
            description=(
                f"{self.config.data}: {self._how}{self._pools}; {answers.chat_template(log)}"
            ),
            metrics=tuple(self._metrics(marked)),
            items=tuple(one.item for part in marked.values() for one in part),
        )

    def publish(
        self, model: ModelRef, result: EvalResult, log: RowLog
    ) -> Iterator[tuple[str, str]]:
        """Write the result as its publishers do: names and contents of files, lm-eval's.

        What was answered is replayed from the log, which takes about as long as `mark`.
        """
        return self.lm_eval_files(model, log, results.UNDATED)

    def lm_eval_files(
        self, model: ModelRef, log: RowLog, date: datetime
    ) -> Iterator[tuple[str, str]]:
        """Write what the log holds as lm-eval would have: names and contents of files."""
        runs = list(self._runs(None, log))
        return results.files(runs, model, log["chat_template"], date)

    def _runs(self, model: LoadedModel | None, log: RowLog) -> Iterator["Run"]:
        # By name, because lm-eval takes a second to import.
        run: Callable[[Name, Settings, LoadedModel | None, RowLog], Run]
        run = import_module("evals.nlp_benchmarks.running").run
        return (run(name, self.config, model, log) for name in self.config.benchmarks)

    @property
    def _how(self) -> str:
        """Say how is asked; with the hash of what is asked, all that a result depends on."""
        config = self.config
        shots = ", ".join(f"{name} {config.shots_of(name)}-shot" for name in config.benchmarks)
        limit = f"the first {config.limit} items of each task, " if config.limit else ""
        style = "as conversations" if config.chat_template else "as plain text"
        fit = "cut to fit" if config.too_long == "truncate" else "failed where they do not fit"
        return (
            f"lm-eval {version('lm_eval')}, {shots}; {limit}asked {style}, {fit}; greedy answers, "
            f"at most {config.max_gen_toks} tokens; examples drawn with seed {FEWSHOT_SEED}"
        )

    @property
    def _pools(self) -> str:
        """Say where examples come from that are not the usual ones."""
        if self.config.data == HUB:
            return ""
        pools = {
            name: read(self.config.data, name, self.config.shots_of(name)).pool
            for name in self.config.benchmarks
        }
        return "".join(
            f"; {name} shows examples of {pool}, not of {BENCHMARKS[name].pool[0]}, so that its "
            "figure is not the official one"
            for name, pool in pools.items()
            if pool not in (None, BENCHMARKS[name].pool[0])
        )

    def _metrics(self, marked: Mapping[Name, Sequence[Marked]]) -> Iterator[Metric]:
        """Report each benchmark by its headline metric, their mean, then every metric."""
        chat = self.config.chat_template
        headlines = {
            name: _share(part, BENCHMARKS[name].headline(chat), name, self._note(name))
            for name, part in marked.items()
        }
        yield from headlines.values()
        if len(headlines) == len(NAMES):
            groups = [
                [one.values[BENCHMARKS[name].headline(chat)] for one in part if one.values]
                for name, part in marked.items()
            ]
            yield mean_of_means(groups).metric(
                "mean",
                failed=sum(one.failed for one in headlines.values()),
                note="of the nine, each by its own metric and alike, whatever its size",
            )
        for name, part in marked.items():
            for key in BENCHMARKS[name].metrics:
                yield _share(part, key, f"{name}/{METRICS[key]}", "")

    def _note(self, name: Name) -> str:
        benchmark, config = BENCHMARKS[name], self.config
        metric = METRICS[benchmark.headline(config.chat_template)]
        notes = [f"{metric}, {config.shots_of(name)}-shot", benchmark.note]
        if config.limit:
            notes.append(f"the first {config.limit} items of each task only")
        return "; ".join(filter(None, notes))


def _share(part: Sequence[Marked], key: str, name: str, note: str) -> Metric:
    """Count the right among the items that were scored; each is worth 0 or 1."""
    values = [one.values[key] for one in part if one.values]
    return share(round(sum(values)), len(values)).metric(
        name, failed=len(part) - len(values), note=note
    )
